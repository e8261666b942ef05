// Feed-forward blocks: gated (Shazeer 2020) and plain.
#pragma once

#include <tenon/graph.hpp>

namespace tenon {
inline namespace v0 {

/// W_down(act(W_gate x) * W_up x); gate and up [F, E], down [E, F].
struct GatedMlp {
  Weight gate, up, down;
};
inline Tensor gated_mlp(Tensor x, const GatedMlp& w, int64_t d_ff, const std::string& act, Bias bias = Bias::none,
                        Here at = Here::current()) {
  Graph& g = *x.graph;
  const Tensor gate = g.linear(x, w.gate, d_ff, bias, at), up = g.linear(x, w.up, d_ff, bias, at);  // (T, F)
  return g.linear(g.glu(gate, up, act, at), w.down, x.dim(1), bias, at);
}

/// W_down(act(W_up x)); up [F, E], down [E, F].
struct PlainMlp {
  Weight up, down;
};
inline Tensor plain_mlp(Tensor x, const PlainMlp& w, int64_t d_ff, const std::string& act, Bias bias = Bias::none,
                        Here at = Here::current()) {
  Graph& g = *x.graph;
  return g.linear(g.unary(g.linear(x, w.up, d_ff, bias, at), act, at), w.down, x.dim(1), bias, at);
}

}  // namespace v0
}  // namespace tenon
