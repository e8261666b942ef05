// Tokens that are found in the text before anything else looks at it: control tokens and user-defined ones.
// Leftmost match first, the longest of those; the strip and single-word flags mean what tokenizer.json means by them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/marked_text.hpp"

namespace tenon {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool special = false;      // found only when the caller parses special tokens
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // and after it
  bool single_word = false;  // not inside a word
};

class AddedTokens {
 public:
  /// Error{bad_model} when the content is longer than 1024 bytes; an empty one is ignored.
  void add(AddedToken token);
  bool empty() const { return tokens_.empty(); }
  /// The id of exactly this content, -1 otherwise.
  int32_t find(std::string_view content) const;

  struct Fragment {
    std::string_view text;
    int32_t id = -1;  // -1: plain text
  };
  /// Cuts the text into found tokens and the plain text between them. `special_within`: where given, special tokens are
  /// found only within one of these spans.
  void split(std::string_view text, bool parse_special, std::vector<Fragment>& out,
             const TextSpans* special_within = nullptr) const;

 private:
  struct Node {
    std::vector<std::pair<unsigned char, int32_t>> next;  // sorted by byte
    int32_t token = -1;
  };
  int32_t step(int32_t node, unsigned char byte) const;
  /// `special_end`: special tokens must not reach beyond it.
  const AddedToken* longest(std::string_view text, size_t at, size_t special_end) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_{Node{}};
  std::array<int32_t, 256> first_ = [] {
    std::array<int32_t, 256> none{};
    none.fill(-1);
    return none;
  }();
};

}  // namespace tenon
