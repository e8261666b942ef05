// Multi-head latent attention (Liu et al. 2024, arXiv 2405.04434): keys and values of all heads are linear in one
// latent row per token, which is all that the host keeps, beside a rotary key that the heads share. Letters: N and R
// the parts of a head's query without and with rotation, V its value's width, L the latent row's.
#pragma once

#include <tenon/graph.hpp>

namespace tenon {
inline namespace v0 {

struct LatentDims {
  int64_t n_heads, nope, rotary, value, latent;
};

/// What makes keys and values of a latent row: k_b [H, N, L], v_b [H, V, L].
struct LatentMaps {
  Weight k_b, v_b;
};
/// As files have them: rows [keys | values] of each head in one matrix, or (GGUF) two, the keys' transposed.
inline LatentMaps latent_maps(const Scope& w, const LatentDims& d) {
  const Names fused = w("self_attn.kv_b_proj", "attn_kv_b");
  const tn_xform by_head = {TN_X_RESHAPE, 0, {}, 0}, turned = {TN_X_TRANSPOSE, 0, {1, 2}, 0};
  return {Weight(fused).rows_of_each(0, d.nope, d.n_heads).step(by_head).or_named(w("", "attn_k_b")).step(turned),
          Weight(fused).rows_of_each(d.nope, d.value, d.n_heads).step(by_head).or_named(w("", "attn_v_b"))};
}

/// The query's parts q_nope [T, H, N] and q_pe [T, H, R], and what is kept per token: c [T, L], normalised, and
/// k_pe [T, 1, R]. The rotary parts are rotated already, where the model rotates them.
struct LatentInputs {
  Tensor q_nope, q_pe, c, k_pe;
};
/// From queries [T, H, N + R] and what is kept before its norm [T, L + R]; `turn` rotates [T, *, R], or leaves it.
template <typename Turn>
LatentInputs latent_inputs(Tensor q, Tensor kept, const Weight& norm, double eps, const LatentDims& d, Turn&& turn,
                           Here at = Here::current()) {
  Graph& g = *q.graph;
  const Tensor c = g.rms_norm(g.slice(kept, 0, d.latent, at), norm, eps, at);
  const Tensor k_pe = g.split_heads(g.slice(kept, d.latent, d.rotary, at), 1);
  return {g.slice(q, 0, d.nope, at), turn(g.slice(q, d.nope, d.rotary, at)), c, turn(k_pe)};
}

/// softmax(scale [q_nope | q_pe] [k_b c | k_pe]^T + causal mask) v_b c over the cached and the new rows: [T, H, V].
inline Tensor mla_attention(int64_t layer, const LatentInputs& in, const LatentMaps& maps, const LatentDims& d,
                            double scale, Here at = Here::current()) {
  Graph& g = *in.c.graph;
  g.locate(at);
  const tn_val k_b = g.operand(maps.k_b, ".weight", {d.n_heads, d.nope, d.latent}, false, at).id;
  const tn_val v_b = g.operand(maps.v_b, ".weight", {d.n_heads, d.value, d.latent}, false, at).id;
  const tn_st rows = g.state(TN_STATE_MLA_LATENT, "latent." + std::to_string(layer), layer, {d.latent + d.rotary});
  return g.op("tenon.mla_attention/1", {in.q_nope.id, in.q_pe.id, in.c.id, in.k_pe.id, k_b, v_b}, {{"scale", scale}},
              {rows});
}

/// Each head's row times its own matrix: x [..., H, K], W [H, n_out, K]: [..., H, n_out].
inline Tensor linear_per_head(Tensor x, const Weight& w, int64_t n_out, Here at = Here::current()) {
  Graph& g = *x.graph;
  const uint32_t rank = x.rank();
  const Tensor weight = g.operand(w, ".weight", {x.dim(rank - 2), n_out, x.dim(rank - 1)}, false, at);
  return g.op("tenon.linear_per_head/1", {x.id, weight.id}, {});
}

}  // namespace v0
}  // namespace tenon
