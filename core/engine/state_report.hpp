// What one sequence's state comes to, by kind: the numbers of the description, before a backend pads them.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/ir.hpp"

namespace tenon {

struct StateLine {
  StateKind kind = StateKind::kv;
  int64_t window = 0;            // kv; 0: all positions
  int64_t states = 0;            // of this kind and window: the layers that have one
  uint64_t bytes_per_token = 0;  // of state that grows, over these states together
  uint64_t bytes_fixed = 0;      // of state that does not
  int64_t pages = 0;             // that the sequence holds, of kPageTokens tokens each
  uint64_t bytes = 0;            // held after the tokens, in whole pages
};

/// After `n_tokens`, in the order in which the kinds appear; `exact` keeps f32 in pages, else f16.
std::vector<StateLine> state_report(const Graph& graph, int64_t n_tokens, bool exact);

}  // namespace tenon
