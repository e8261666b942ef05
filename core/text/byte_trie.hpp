// Tokens by their bytes, for finding the longest that begins at a place.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon {

class ByteTrie {
 public:
  /// Error{bad_model} for two equal tokens or an empty one, Error{capacity} for more than 2^24 bytes of them.
  explicit ByteTrie(std::vector<std::pair<std::string_view, int32_t>> tokens);

  size_t longest_token() const { return longest_token_; }

  struct Match {
    int32_t id = -1;
    size_t length = 0;  // 0: no token begins here
  };
  Match longest(std::string_view text, size_t at) const { return longest(text, at, 0); }
  /// As above, of what follows the place `from` of the trie.
  Match longest(std::string_view text, size_t at, uint32_t from) const;
  /// The place that these bytes lead to, 0 being where every token begins; nothing when no token begins with them.
  std::optional<uint32_t> place(std::string_view bytes) const;
  /// Calls found(id, length) for every token that begins at text[at], the shortest first.
  template <typename Found>
  void each_prefix(std::string_view text, size_t at, Found found) const {
    const Node* node = &nodes_[0];
    for (size_t i = at; i < text.size(); ++i) {
      node = child(*node, static_cast<uint8_t>(text[i]));
      if (!node) return;
      if (node->id >= 0) found(node->id, i + 1 - at);
    }
  }

 private:
  struct Node {
    uint32_t edges = 0;  // the first of its edges, which are sorted by byte
    uint16_t count = 0;
    int32_t id = -1;
  };
  struct Range;
  const Node* child(const Node& node, uint8_t byte) const {
    const auto begin = bytes_.begin() + node.edges, end = begin + node.count;
    // All 256 bytes are there at the root of a usual vocabulary.
    const auto edge = node.count == 256 ? begin + byte : std::lower_bound(begin, end, byte);
    return edge == end || *edge != byte ? nullptr : &nodes_[children_[static_cast<size_t>(edge - bytes_.begin())]];
  }
  void expand(const std::vector<std::pair<std::string_view, int32_t>>& tokens, const Range& range,
              std::vector<Range>& open);
  std::vector<Node> nodes_;
  std::vector<uint8_t> bytes_;      // of the edges
  std::vector<uint32_t> children_;  // of the edges
  size_t longest_token_ = 0;
};

}  // namespace tenon
