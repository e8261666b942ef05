#include "text/byte_trie.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace tenon {

namespace {

constexpr size_t kMaxBytes = size_t{1} << 24;

}  // namespace

// The sorted tokens [begin, end), which share their first `depth` bytes, hang below `node`.
struct ByteTrie::Range {
  uint32_t node;
  size_t begin, end, depth;
};

ByteTrie::ByteTrie(std::vector<std::pair<std::string_view, int32_t>> tokens) {
  size_t bytes = 0;
  for (const auto& [token, id] : tokens) {
    if (token.empty()) fail(ErrorCode::bad_model, "[tokenizer] token {} is empty", id);
    bytes += token.size();
    longest_token_ = std::max(longest_token_, token.size());
  }
  if (bytes > kMaxBytes) fail(ErrorCode::capacity, "[tokenizer] tokens of {} bytes, more than {}", bytes, kMaxBytes);
  std::ranges::sort(tokens);
  for (size_t i = 1; i < tokens.size(); ++i)
    if (tokens[i].first == tokens[i - 1].first)
      fail(ErrorCode::bad_model, "[tokenizer] tokens {} and {} are the same", tokens[i - 1].second, tokens[i].second);
  nodes_.emplace_back();
  std::vector<Range> open{{0, 0, tokens.size(), 0}};
  while (!open.empty()) {
    const Range range = open.back();
    open.pop_back();
    expand(tokens, range, open);
  }
}

void ByteTrie::expand(const std::vector<std::pair<std::string_view, int32_t>>& tokens, const Range& range,
                      std::vector<Range>& open) {
  size_t i = range.begin;
  if (i < range.end && tokens[i].first.size() == range.depth) nodes_[range.node].id = tokens[i++].second;
  const auto first = static_cast<uint32_t>(bytes_.size());
  while (i < range.end) {
    const char byte = tokens[i].first[range.depth];
    const size_t begin = i;
    while (i < range.end && tokens[i].first[range.depth] == byte) ++i;
    const auto child = static_cast<uint32_t>(nodes_.size());
    nodes_.emplace_back();
    bytes_.push_back(static_cast<uint8_t>(byte));
    children_.push_back(child);
    open.push_back({child, begin, i, range.depth + 1});
  }
  nodes_[range.node].edges = first;
  nodes_[range.node].count = static_cast<uint16_t>(bytes_.size() - first);
}

ByteTrie::Match ByteTrie::longest(std::string_view text, size_t at, uint32_t from) const {
  Match best;
  const Node* node = &nodes_[from];
  for (size_t i = at; i < text.size(); ++i) {
    node = child(*node, static_cast<uint8_t>(text[i]));
    if (!node) break;
    if (node->id >= 0) best = {node->id, i + 1 - at};
  }
  return best;
}

std::optional<uint32_t> ByteTrie::place(std::string_view bytes) const {
  const Node* node = &nodes_[0];
  for (const char byte : bytes) {
    node = child(*node, static_cast<uint8_t>(byte));
    if (!node) return std::nullopt;
  }
  return static_cast<uint32_t>(node - nodes_.data());
}

}  // namespace tenon
