// The arena plan: results placed by liveness in execution order, best fit among the holes that earlier values left.
#include <map>

#include "base/checked.hpp"
#include "graph/passes.hpp"

namespace tenon {

namespace {

constexpr uint64_t kAlign = 64;

/// Byte ranges of one growing arena.
class Holes {
 public:
  uint64_t take(uint64_t bytes) {
    auto best = free_.end();
    for (auto it = free_.begin(); it != free_.end(); ++it)
      if (it->second >= bytes && (best == free_.end() || it->second < best->second)) best = it;
    if (best == free_.end()) return grow(bytes);
    const auto [offset, size] = *best;
    free_.erase(best);
    if (size > bytes) free_[offset + bytes] = size - bytes;
    return offset;
  }

  void give(uint64_t offset, uint64_t bytes) {
    auto next = free_.lower_bound(offset);
    if (next != free_.end() && offset + bytes == next->first) {
      bytes += next->second;
      next = free_.erase(next);
    }
    if (next != free_.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == offset) {
        before->second += bytes;
        return;
      }
    }
    free_[offset] = bytes;
  }

  uint64_t end() const { return end_; }

 private:
  /// At the end, starting in a hole that reaches it.
  uint64_t grow(uint64_t bytes) {
    uint64_t offset = end_;
    if (!free_.empty() && free_.rbegin()->first + free_.rbegin()->second == end_) {
      offset = free_.rbegin()->first;
      free_.erase(std::prev(free_.end()));
    }
    end_ = checked_add(offset, bytes, "arena");
    return offset;
  }

  std::map<uint64_t, uint64_t> free_;  // offset -> bytes, no two adjacent
  uint64_t end_ = 0;
};

uint64_t padded_bytes(const Shape& shape, int64_t max_tokens, int64_t max_rows) {
  uint64_t bytes = 4;
  for (int64_t d : shape) {
    const int64_t extent = d == kDimTokens ? max_tokens : d == kDimRows ? max_rows : d;
    if (extent < 0) fail(ErrorCode::internal, "[arena] dimension {}", extent);
    bytes = checked_mul(bytes, static_cast<uint64_t>(extent), "arena");
  }
  return checked_add(bytes < kAlign ? kAlign : bytes, kAlign - 1, "arena") / kAlign * kAlign;
}

/// By ValueId - 1: the last node that reads the value or a view of it; nodes.size() for outputs of the graph.
std::vector<size_t> last_readers(const Graph& graph, const std::vector<ValueId>& alias) {
  std::vector<size_t> last(graph.values.size(), 0);
  const auto root = [&](ValueId id) { return alias[id - 1] ? alias[id - 1] : id; };
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    for (ValueId id : graph.nodes[n].outputs) last[root(id) - 1] = n;
    for (ValueId id : graph.nodes[n].inputs)
      if (id != 0) last[root(id) - 1] = n;
  }
  for (const auto& [name, id] : graph.outputs) last[root(id) - 1] = graph.nodes.size();
  return last;
}

}  // namespace

ArenaPlan plan_arena(const Graph& graph, int64_t max_tokens, int64_t max_rows) {
  ArenaPlan plan;
  plan.offset.assign(graph.values.size(), ArenaPlan::kNoPlace);
  plan.alias.assign(graph.values.size(), 0);
  for (const Node& node : graph.nodes) {
    if (node.op != "tenon.reshape/1") continue;
    const ValueId from = node.inputs[0];
    plan.alias[node.outputs[0] - 1] = plan.alias[from - 1] ? plan.alias[from - 1] : from;
  }
  const std::vector<size_t> last = last_readers(graph, plan.alias);
  std::vector<std::vector<ValueId>> ends(graph.nodes.size());
  Holes holes;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    for (ValueId id : graph.nodes[n].outputs) {
      if (plan.alias[id - 1]) continue;
      plan.offset[id - 1] = holes.take(padded_bytes(graph.value(id).shape, max_tokens, max_rows));
      if (last[id - 1] < graph.nodes.size()) ends[last[id - 1]].push_back(id);
    }
    for (ValueId id : ends[n])
      holes.give(plan.offset[id - 1], padded_bytes(graph.value(id).shape, max_tokens, max_rows));
  }
  plan.bytes = holes.end();
  return plan;
}

}  // namespace tenon
