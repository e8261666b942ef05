// Folding of neighbours that only this backend can fold: a norm into the linears that read it (small steps normalise
// and pack privately, without a barrier), rotations into their attention (a head is rotated where it is used).
#pragma once

#include <vector>

#include "backend/cpu/op.hpp"

namespace tenon::cpu {

/// Rewrites graph.nodes in place; the k-th result describes the k-th remaining node. Operands of folded nodes become
/// extra operands of the node they went into, so that liveness stays true.
std::vector<FusedNode> fuse_for_cpu(Graph& graph);

}  // namespace tenon::cpu
