// Rewrite passes over a validated graph. Each keeps the meaning; ops they make ("host.*") are in the catalogue too.
#pragma once

#include <string>
#include <vector>

#include "graph/ir.hpp"

namespace tenon {

/// Weights whose last step is rope_unpermute and whose linear feeds only a full-width neox rope of an attention keep
/// their stored rows, and the rope becomes interleaved: block-quantised q/k rows are then used in place. Applied to all
/// ropes that meet in one attention, or to none of them. Runs before weights are loaded.
void keep_stored_rope_rows(Graph& graph);

/// k_b operands of latent attention whose last step transposes their matrices are taken as stored. Runs before weights
/// are loaded.
void keep_stored_latent_keys(Graph& graph);

/// Linears that share an input and follow each other -> host.linear_group (inputs x, W1, b1, W2, b2, ...; one result
/// each).
void group_linears(Graph& graph);
/// glu(linear(x), linear(x)) -> host.linear_glu (inputs x, Wgate, bgate, Wup, bup; attribute act).
void fuse_glu(Graph& graph);
/// add(residual, linear(x)) -> host.linear_add (inputs x, W, b, residual).
void fuse_residual(Graph& graph);
/// Removes nodes whose results nobody uses.
void drop_dead(Graph& graph);

/// All fusing passes in their order; returns the names of those that changed something.
std::vector<std::string> optimise(Graph& graph);

/// Where every result lives in one arena: offsets by liveness, for given counts of tokens and rows.
struct ArenaPlan {
  std::vector<uint64_t> offset;  // by ValueId - 1; kNoPlace for inputs, weights and views
  std::vector<ValueId> alias;    // by ValueId - 1: the value whose bytes a view (reshape) shares, or 0
  uint64_t bytes = 0;
  static constexpr uint64_t kNoPlace = ~uint64_t{0};
};
/// 64-byte aligned; a value's bytes are free for reuse after its last reader. Outputs of the graph stay to the end.
ArenaPlan plan_arena(const Graph& graph, int64_t max_tokens, int64_t max_rows);

}  // namespace tenon
