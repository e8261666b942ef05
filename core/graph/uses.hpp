// Who reads what: for the passes.
#pragma once

#include "graph/ir.hpp"

namespace tenon {

inline constexpr size_t kNoNode = ~size_t{0};

struct Uses {
  std::vector<uint32_t> readers;  // by ValueId - 1: operands that name it, plus one per graph output
  std::vector<size_t> producer;   // by ValueId - 1: index of its node, or kNoNode
  std::vector<uint32_t> weight;   // by WeightId - 1: operands that name it, ties counted at the weight they end at

  explicit Uses(const Graph& graph);
  /// The node that makes `id` when it is of op `op` and `id` has no other reader; else nullptr.
  const Node* sole(const Graph& graph, ValueId id, std::string_view op) const;
};

/// The weight that a chain of ties ends at.
WeightId tie_root(const Graph& graph, WeightId id);
/// Operand `i`, or 0 past the end.
inline ValueId operand(const Node& node, size_t i) { return i < node.inputs.size() ? node.inputs[i] : 0; }
/// Erases the nodes marked in `dead`.
void erase_nodes(Graph& graph, const std::vector<bool>& dead);

}  // namespace tenon
