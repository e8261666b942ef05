// A sparse mixture of experts (Shazeer et al. 2017): the choice of experts per token, and their feed-forward networks.
#pragma once

#include <tenon/graph.hpp>

namespace tenon {
inline namespace v0 {

struct Route {
  Tensor ids, weights;  // [T, k] i32, [T, k]
};

/// Chooses k of X experts per token from logits [T, X]. score "softmax" (over all), "sigmoid", or "softmax_selected".
struct Routing {
  int64_t k;
  std::string score = "softmax";
  bool renormalise = false;
  double scale = 1;
};
inline Route moe_route(Tensor logits, const Routing& r, Here at = Here::current()) {
  Graph& g = *logits.graph;
  g.locate(at);
  tn_val out[2]{};
  g.apply("tenon.moe_route/1", {logits.id, 0},
          {{"k", r.k}, {"score", r.score}, {"renormalise", int64_t{r.renormalise}}, {"scale", r.scale}}, {}, out, 2);
  return {{&g, out[0]}, {&g, out[1]}};
}

/// sum over the chosen experts of weight * W_down(act(W_gate x) * W_up x). Stacks: gate, up [X, F, E]; down [X, E,
/// F].
struct ExpertWeights {
  Weight gate, up, down;
};
inline Tensor moe_ffn(Tensor x, Route route, const ExpertWeights& w, int64_t n_experts, int64_t d_ff,
                      const std::string& act, Here at = Here::current()) {
  Graph& g = *x.graph;
  const int64_t d = x.dim(1);
  const auto stack = [&](const Weight& e, int64_t rows, int64_t columns) {
    return g.operand(e, ".weight", {n_experts, rows, columns}, false, at).id;
  };
  return g.op(
      "tenon.moe_ffn/1",
      {x.id, route.ids.id, route.weights.id, stack(w.gate, d_ff, d), stack(w.up, d_ff, d), stack(w.down, d, d_ff)},
      {{"act", act}});
}

}  // namespace v0
}  // namespace tenon
