// The coarsest partition of an automaton's states that keeps its language.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tenon::grammar {

struct Transition {
  uint32_t from, label, to;
};
/// By state: the number of its block. States of one block agree in `accepts` and have transitions into the same blocks.
/// Every state must be reachable and alive. A. Valmari, "Fast brief practical DFA minimization", IPL 112 (2012).
std::vector<uint32_t> minimal_blocks(uint32_t n_states, std::span<const uint8_t> accepts,
                                     std::vector<Transition> transitions);

}  // namespace tenon::grammar
