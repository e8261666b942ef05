// A sparse mixture of experts (Shazeer et al. 2017): the choice of experts per token, and their feed-forward networks.
#pragma once

#include <tenon/graph.hpp>

namespace tenon {
inline namespace v0 {

/// A model's count of experts, 1 to 65536.
inline int64_t expert_count(const Meta& m, Key key) {
  const int64_t n = m.need_int(key);
  if (n > 65536) m.refuse_range(key, std::to_string(n));
  return n;
}
/// How many of them a token meets.
inline int64_t experts_used(const Meta& m, Key key, int64_t n_experts) {
  const int64_t k = m.need_int(key);
  if (k > n_experts) m.refuse_range(key, std::to_string(k) + " of " + std::to_string(n_experts) + " experts");
  return k;
}

struct Route {
  Tensor ids, weights;  // [T, k] i32, [T, k]
};

/// How k of X experts are chosen. score: "softmax" (over all), "sigmoid", or "softmax_selected" (over the k). Experts
/// stand in n_group equal groups, of which the topk_group best, by group_rank "max" or "top2_sum", stay in the choice
/// (arXiv 2405.04434). renormalise: the k weights are divided by their sum.
struct Routing {
  int64_t k;
  std::string score = "softmax";
  int64_t n_group = 1, topk_group = 1;
  std::string group_rank = "max";
  bool renormalise = false;
  double scale = 1;
};
/// From logits [T, X]; bias [X], when its id is not 0, is added to the scores for the choice, not for the weights.
inline Route moe_route(Tensor logits, Tensor bias, const Routing& r, Here at = Here::current()) {
  Graph& g = *logits.graph;
  g.locate(at);
  tn_val out[2]{};
  g.apply("tenon.moe_route/1", {logits.id, bias.id},
          {{"k", r.k},
           {"score", r.score},
           {"n_group", r.n_group},
           {"topk_group", r.topk_group},
           {"group_rank", r.group_rank},
           {"renormalise", int64_t{r.renormalise}},
           {"scale", r.scale}},
          {}, out, 2);
  return {{&g, out[0]}, {&g, out[1]}};
}
inline Route moe_route(Tensor logits, const Routing& r, Here at = Here::current()) {
  return moe_route(logits, Tensor{}, r, at);
}

/// The choice of SparseMixer (Liu et al. 2023): k times the best that is left, each time with its share of the softmax
/// over those that come near it, within 2 jitter of its size.
inline Route sparse_mixer(Tensor logits, int64_t k, double jitter, Here at = Here::current()) {
  Graph& g = *logits.graph;
  g.locate(at);
  tn_val out[2]{};
  g.apply("tenon.sparse_mixer/1", {logits.id}, {{"k", k}, {"jitter", jitter}}, {}, out, 2);
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

/// The same with biases, gate and up [X, F], down [X, E], around the unit that `glu` names with its attributes.
inline Tensor moe_ffn(Tensor x, Route route, const ExpertWeights& w, const ExpertWeights& biases, int64_t n_experts,
                      int64_t d_ff, const std::vector<Attr>& glu, Here at = Here::current()) {
  Graph& g = *x.graph;
  const int64_t d = x.dim(1);
  const auto stack = [&](const Weight& e, int64_t rows, int64_t columns) {
    return g.operand(e, ".weight", {n_experts, rows, columns}, false, at).id;
  };
  const auto rows = [&](const Weight& e, int64_t n) { return g.operand(e, ".bias", {n_experts, n}, false, at).id; };
  return g.op("tenon.moe_ffn/1",
              {x.id, route.ids.id, route.weights.id, stack(w.gate, d_ff, d), stack(w.up, d_ff, d),
               stack(w.down, d, d_ff), rows(biases.gate, d_ff), rows(biases.up, d_ff), rows(biases.down, d)},
              glu);
}

}  // namespace v0
}  // namespace tenon
