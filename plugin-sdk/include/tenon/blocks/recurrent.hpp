// Parts that keep something from token to token: causal convolution and state space scans.
#pragma once

#include <tenon/graph.hpp>

namespace tenon {
inline namespace v0 {

/// y_t = act(bias + sum_j w_j x_{t-K+1+j}), each channel by itself; the last K-1 inputs are kept per sequence.
/// x [T, C], W [C, K]: [T, C].
struct Conv {
  int64_t layer, kernel;
  std::string act = "identity";
  Bias bias = Bias::none;
};
inline Tensor causal_conv1d(Tensor x, const Weight& w, const Conv& c, Here at = Here::current()) {
  Graph& g = *x.graph;
  const int64_t n = x.dim(1);
  const Tensor weight = g.operand(w, ".weight", {n, c.kernel}, false, at);
  const tn_val bias = c.bias == Bias::none ? 0 : g.operand(w, ".bias", {n}, c.bias == Bias::if_stored, at).id;
  const tn_st state = g.state(TN_STATE_CONV, "conv." + std::to_string(c.layer), c.layer, {c.kernel - 1, n});
  return g.op("tenon.causal_conv1d/1", {x.id, weight.id, bias}, {{"act", c.act}}, {state});
}

/// h = exp(dt A) h + dt B x, y = C h + D x, token by token (Gu and Dao 2023); h [E, N] is kept per sequence.
/// x and dt [T, E], A [E, N], B and C [T, N], D [E]: [T, E].
struct Scan {
  Tensor x, dt, b, c;
};
inline Tensor ssm_scan(int64_t layer, const Scan& s, const Weight& a, const Weight& d, Here at = Here::current()) {
  Graph& g = *s.x.graph;
  const int64_t e = s.x.dim(1), n = s.b.dim(1);
  const Tensor decay = g.operand(a, "", {e, n}, false, at), skip = g.operand(d, "", {e}, false, at);
  const tn_st state = g.state(TN_STATE_RECURRENT, "ssm." + std::to_string(layer), layer, {e, n});
  return g.op("tenon.ssm_scan/1", {s.x.id, s.dt.id, decay.id, s.b.id, s.c.id, skip.id}, {}, {state});
}

}  // namespace v0
}  // namespace tenon
