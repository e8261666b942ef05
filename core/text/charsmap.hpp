// SentencePiece's precompiled character map: a double-array trie of what is replaced (darts-clone's layout) and the
// replacements. The blob is hostile: no lookup leaves it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

class Charsmap {
 public:
  /// `blob`: the trie's size in bytes as a little-endian u32, the trie, replacements that end in zeros.
  /// Error{bad_model} naming `place`.
  Charsmap(std::string_view blob, std::string place);

  struct Match {
    size_t length = 0;  // 0: nothing at the text's beginning is replaced
    std::string_view replacement;
  };
  Match longest(std::string_view text) const { return find(text, false); }

  /// As Hugging Face's Precompiled: a short grapheme whose beginning is replaced becomes that as a whole, of the others
  /// each character is replaced by itself.
  std::string rewrite_graphemes(std::string_view text) const;

 private:
  Match find(std::string_view text, bool shortest) const;
  std::string_view replacement(uint32_t offset) const;
  void rewrite_grapheme(std::string_view grapheme, std::string& out) const;

  std::vector<uint32_t> units_;
  std::string replacements_, place_;
};

}  // namespace tenon
