// Caps on what a description may declare.
#pragma once

#include <cstddef>
#include <cstdint>

#include "graph/catalogue.hpp"

namespace tenon {

inline constexpr int64_t kMaxLayers = 4096;
inline constexpr size_t kMaxNodes = 1'000'000;
inline constexpr size_t kMaxWeights = 1'000'000;
inline constexpr int64_t kMaxStateElements = int64_t{1} << 28;  // of a state that is no cache, one sequence
inline constexpr size_t kMaxName = 256;                         // bytes

/// Operand and state counts and ids of a node against its op.
void check_counts(const Graph& graph, const Node& node, const OpDef& def);

}  // namespace tenon
