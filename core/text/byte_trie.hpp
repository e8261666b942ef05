// Tokens by their bytes, for finding the longest that begins at a place.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon {

class ByteTrie {
 public:
  /// Error{bad_model} for two equal tokens or an empty one, Error{capacity} for more than 2^24 bytes of them.
  explicit ByteTrie(std::vector<std::pair<std::string_view, int32_t>> tokens);

  struct Match {
    int32_t id = -1;
    size_t length = 0;  // 0: no token begins here
  };
  Match longest(std::string_view text, size_t at) const;

 private:
  struct Node {
    uint32_t edges = 0;  // the first of its edges, which are sorted by byte
    uint16_t count = 0;
    int32_t id = -1;
  };
  struct Range;
  void expand(const std::vector<std::pair<std::string_view, int32_t>>& tokens, const Range& range,
              std::vector<Range>& open);
  std::vector<Node> nodes_;
  std::vector<uint8_t> bytes_;      // of the edges
  std::vector<uint32_t> children_;  // of the edges
};

}  // namespace tenon
