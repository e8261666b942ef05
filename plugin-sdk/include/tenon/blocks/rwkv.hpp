// Parts of the receptance weighted key value networks (Peng et al. 2024, 2025): the row of the token before, mixing
// with it, and states that are a matrix per head. Decays are given as logarithms.
#pragma once

#include <tenon/graph.hpp>

namespace tenon {
inline namespace v0 {

/// x of the token before, zero for a sequence's first; the last row is kept per sequence. x [T, C]: [T, C].
inline Tensor token_shift(int64_t layer, const std::string& name, Tensor x, Here at = Here::current()) {
  Graph& g = *x.graph;
  g.locate(at);
  const tn_st state = g.state(TN_STATE_CONV, name + "." + std::to_string(layer), layer, {1, x.dim(1)});
  return g.op("tenon.token_shift/1", {x.id}, {}, {state});
}

/// a - b, elementwise.
inline Tensor subtract(Tensor a, Tensor b, Here at = Here::current()) {
  a.graph->locate(at);
  return a.graph->op("tenon.sub/1", {a.id, b.id}, {});
}

/// x + m * delta, elementwise; m may be a row [C].
inline Tensor lerp(Tensor x, Tensor delta, Tensor m) { return x + x.graph->mul(delta, m); }

/// y = r . (S + u k v^T), then S = diag(exp(w)) S + k v^T, token by token and head by head; S [H, K, V] is kept per
/// sequence. r and k [T, H, K], v [T, H, V], w [T, H, K] or a weight [H, K], u [H, K]: [T, H, V].
struct Wkv6 {
  Tensor r, k, v, w, u;
};
inline Tensor wkv6(int64_t layer, const Wkv6& s, Here at = Here::current()) {
  Graph& g = *s.r.graph;
  g.locate(at);
  const tn_st state =
      g.state(TN_STATE_RECURRENT, "wkv." + std::to_string(layer), layer, {s.r.dim(1), s.r.dim(2), s.v.dim(2)});
  return g.op("tenon.wkv6/1", {s.r.id, s.k.id, s.v.id, s.w.id, s.u.id}, {}, {state});
}

/// S = diag(exp(w)) S + b (a . S)^T + k v^T, then y = r . S, token by token and head by head; S [H, K, V] is kept per
/// sequence. r, w, k, a and b [T, H, K], v [T, H, V]: [T, H, V].
struct Wkv7 {
  Tensor r, w, k, v, a, b;
};
inline Tensor wkv7(int64_t layer, const Wkv7& s, Here at = Here::current()) {
  Graph& g = *s.r.graph;
  g.locate(at);
  const tn_st state =
      g.state(TN_STATE_RECURRENT, "wkv." + std::to_string(layer), layer, {s.r.dim(1), s.r.dim(2), s.v.dim(2)});
  return g.op("tenon.wkv7/1", {s.r.id, s.w.id, s.k.id, s.v.id, s.a.id, s.b.id}, {}, {state});
}

/// The sum over the last axis: [..., D] to [..., 1], which a product spreads again.
inline Tensor row_sum(Tensor x, Here at = Here::current()) {
  x.graph->locate(at);
  return x.graph->op("tenon.row_sum/1", {x.id}, {});
}

}  // namespace v0
}  // namespace tenon
