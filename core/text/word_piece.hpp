// WordPiece: from a word's beginning on the longest token each time, those inside a word with a prefix; a word that
// cannot be spelled is unknown as a whole.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/byte_trie.hpp"
#include "text/token_model.hpp"

namespace tenon {

class WordPiece final : public TokenModel {
 public:
  struct Options {
    std::vector<std::pair<std::string_view, int32_t>> tokens;  // that may be found, none twice or empty
    std::string continuing_prefix = "##";
    size_t max_characters = 100;  // of a word, longer ones are unknown
    int32_t unknown_id = -1;
  };
  explicit WordPiece(Options options);

  void encode(const Vocabulary& vocabulary, std::string_view word, std::vector<int32_t>& out) const override;

 private:
  bool spell(std::string_view word, std::vector<int32_t>& out) const;

  ByteTrie trie_;
  std::optional<uint32_t> continuing_;  // the trie's place behind the prefix
  size_t max_characters_;
  int32_t unknown_id_;
};

/// Every word is a token or unknown.
class WordLevel final : public TokenModel {
 public:
  explicit WordLevel(int32_t unknown_id) : unknown_id_(unknown_id) {}
  void encode(const Vocabulary& vocabulary, std::string_view word, std::vector<int32_t>& out) const override;

 private:
  int32_t unknown_id_;
};

/// SentencePiece's words, each with the space before it: a token or unknown, neighbours of which are one.
class SpacedWords final : public TokenModel {
 public:
  explicit SpacedWords(int32_t unknown_id) : unknown_id_(unknown_id) {}
  void encode(const Vocabulary& vocabulary, std::string_view text, std::vector<int32_t>& out) const override;

 private:
  int32_t unknown_id_;
};

}  // namespace tenon
