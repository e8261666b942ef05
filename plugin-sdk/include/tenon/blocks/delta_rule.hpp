// The gated delta rule (Yang et al. 2024): a state that is a matrix per head, which each token fades and corrects
// towards its own value at its key. A decay per key channel: Kimi Team 2025.
#pragma once

#include <tenon/graph.hpp>

namespace tenon {
inline namespace v0 {

/// x * rsqrt(sum(x^2) + eps) over the last axis.
inline Tensor l2_norm(Tensor x, double eps, Here at = Here::current()) {
  x.graph->locate(at);
  return x.graph->op("tenon.l2_norm/1", {x.id}, {{"eps", eps}});
}

/// S = diag(exp(g)) S; S += k (beta (v - S^T k))^T; y = scale S^T q, token by token and head by head; S [H, K, V] is
/// kept per sequence. q and k [T, G, K] with G groups of heads, v [T, H, V], g [T, H] or [T, H, K], beta [T, H]:
/// [T, H, V].
struct DeltaRule {
  Tensor q, k, v, g, beta;
  double scale = 1;
};
inline Tensor gated_delta_rule(int64_t layer, const DeltaRule& d, Here at = Here::current()) {
  Graph& g = *d.v.graph;
  g.locate(at);
  const tn_st state =
      g.state(TN_STATE_RECURRENT, "delta." + std::to_string(layer), layer, {d.v.dim(1), d.q.dim(2), d.v.dim(2)});
  return g.op("tenon.gated_delta_rule/1", {d.q.id, d.k.id, d.v.id, d.g.id, d.beta.id}, {{"scale", d.scale}}, {state});
}

}  // namespace v0
}  // namespace tenon
