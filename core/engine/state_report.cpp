#include "engine/state_report.hpp"

#include <algorithm>

#include "base/checked.hpp"
#include "engine/pages.hpp"

namespace tenon {
namespace {

/// Elements of one position, or of all that a state of one size holds.
uint64_t elements(const GraphState& s) {
  if (s.kind == StateKind::kv) return static_cast<uint64_t>(s.n_heads * (s.dim_k + s.dim_v));
  return static_cast<uint64_t>(checked_elements(s.shape, s.name));
}

StateLine& line_of(std::vector<StateLine>& lines, const GraphState& s) {
  const auto same = [&](const StateLine& l) { return l.kind == s.kind && l.window == s.window; };
  if (const auto at = std::ranges::find_if(lines, same); at != lines.end()) return *at;
  lines.push_back({.kind = s.kind, .window = s.window});
  return lines.back();
}

}  // namespace

std::vector<StateLine> state_report(const Graph& graph, int64_t n_tokens, bool exact) {
  const uint64_t paged_elem = exact ? 4 : 2;
  std::vector<StateLine> lines;
  for (const GraphState& s : graph.states) {
    StateLine& line = line_of(lines, s);
    ++line.states;
    uint64_t& bytes = s.paged() ? line.bytes_per_token : line.bytes_fixed;
    bytes = checked_add(bytes, checked_mul(elements(s), s.paged() ? paged_elem : 4, s.name), s.name);
  }
  for (StateLine& line : lines) {
    if (line.bytes_per_token > 0) line.pages = pages_for(n_tokens) - first_page(line.window, n_tokens);
    const uint64_t tokens = checked_mul(static_cast<uint64_t>(line.pages), kPageTokens, "state");
    line.bytes = checked_add(line.bytes_fixed, checked_mul(line.bytes_per_token, tokens, "state"), "state");
  }
  return lines;
}

}  // namespace tenon
