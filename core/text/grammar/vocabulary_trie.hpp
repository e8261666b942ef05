// A vocabulary as tries over bytes, split so that the bulk of it, plain text, can be judged at once: tokens of whole
// characters that a JSON string takes as they are (no quote, backslash or control), short ones, long ones; and the
// rest.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace tenon {
class Tokenizer;
}

namespace tenon::grammar {

/// A bit for each token id.
using Mask = std::vector<uint64_t>;

/// Nodes in depth-first order.
class TokenTrie {
 public:
  struct Node {
    uint32_t skip;             // the node behind everything below this one
    uint32_t first_token;      // of tokens(), those that end here
    uint16_t n_tokens, depth;  // depth: bytes to here, from 1
    uint8_t byte;
  };
  struct Token {
    std::string_view bytes;
    int32_t id;
  };
  TokenTrie() = default;
  /// None of them empty or longer than 65,535 bytes.
  explicit TokenTrie(std::vector<Token> tokens);

  const std::vector<Node>& nodes() const { return nodes_; }
  const int32_t* tokens(const Node& node) const { return ids_.data() + node.first_token; }
  uint32_t depth() const { return depth_; }

 private:
  std::vector<Node> nodes_;
  std::vector<int32_t> ids_;
  uint32_t depth_ = 0;
};

class VocabularyTrie {
 public:
  static constexpr uint32_t kShort = 16;  // characters of the longest short token

  /// Control, unused and empty tokens are in none: no text spells them.
  static std::shared_ptr<const VocabularyTrie> of(std::shared_ptr<const Tokenizer> tokenizer);

  int32_t size() const { return size_; }
  /// Empty for ids that no text spells.
  std::string_view piece(int32_t id) const;
  const TokenTrie& short_plain() const { return short_plain_; }
  const TokenTrie& long_plain() const { return long_plain_; }
  const TokenTrie& rest() const { return rest_; }
  /// The short plain tokens of at most so many characters, kShort at most.
  const Mask& plain_up_to(uint32_t characters) const { return plain_[characters]; }
  const Mask& all_plain() const { return plain_.back(); }

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  int32_t size_ = 0;
  TokenTrie short_plain_, long_plain_, rest_;
  std::vector<Mask> plain_;  // [kShort + 2], the last one of all plain tokens
};

}  // namespace tenon::grammar
