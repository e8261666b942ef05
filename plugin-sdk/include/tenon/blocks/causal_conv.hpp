// Causal convolution per channel over the last K tokens, as state space models and delta rules have it before them.
#pragma once

#include <tenon/graph.hpp>

namespace tenon {
inline namespace v0 {

/// y_t = act(bias + sum_j w_j x_{t-K+1+j}), each channel by itself; the last K-1 inputs are kept per sequence.
/// x [T, C], W [C, K]: [T, C]. `name` tells the convolutions of one layer apart.
struct Conv {
  int64_t layer, kernel;
  std::string act = "identity";
  Bias bias = Bias::none;
  std::string name = "conv";
};
inline Tensor causal_conv1d(Tensor x, const Weight& w, const Conv& c, Here at = Here::current()) {
  Graph& g = *x.graph;
  const int64_t n = x.dim(1);
  const Tensor weight = g.operand(w, ".weight", {n, c.kernel}, false, at);
  const tn_val bias = c.bias == Bias::none ? 0 : g.operand(w, ".bias", {n}, c.bias == Bias::if_stored, at).id;
  const tn_st state = g.state(TN_STATE_CONV, c.name + "." + std::to_string(c.layer), c.layer, {c.kernel - 1, n});
  return g.op("tenon.causal_conv1d/1", {x.id, weight.id, bias}, {{"act", c.act}}, {state});
}

}  // namespace v0
}  // namespace tenon
