// tenon.linear_per_head/1 and tenon.mla_attention/1: attention whose keys and values are linear in one latent row that
// all heads share (Liu et al. 2024, arXiv 2405.04434: multi-head latent attention). The state holds that row alone,
// whichever way a backend computes: keys and values expanded from it, or queries and outputs taken into the latent
// space.
#include "graph/ops/ops.hpp"

namespace tenon::ops {

static void infer_per_head(Graph& graph, Node& node) {
  OpCheck op(graph, node, {});
  const Shape x = op.f32(0, "x");
  const Shape& w = op.weight(1, "W");
  op.rank(w, "W", 3);
  if (x.size() < 2 || x[x.size() - 2] != w[0] || x.back() != w[2])
    op.bad("W {} does not match the heads and widths of x {}", shape_text(w), shape_text(x));
  op.result(Elem::f32, with_last(x, w[1]));
}

static void check_state(const OpCheck& op, const GraphState& state, const Shape& want) {
  if (state.kind != StateKind::mla_latent || state.shape != want)
    op.bad("state \"{}\" is {} {}, expected mla_latent {}", state.name, state_kind_name(state.kind),
           shape_text(state.shape), shape_text(want));
}

static void infer_attention(Graph& graph, Node& node) {
  OpCheck op(graph, node, {{"scale", AttrKind::real, Need::required}, {"k_b_transposed", AttrKind::integer}});
  const Shape nope = op.f32(0, "q_nope");
  const Shape pe = op.f32(1, "q_pe");
  const Shape c = op.f32(2, "c");
  const Shape k_pe = op.f32(3, "k_pe");
  const Shape v_b = op.weight(5, "v_b");
  op.rank(nope, "q_nope", 3);
  op.rank(pe, "q_pe", 3);
  op.rank(c, "c", 2);
  op.rank(v_b, "v_b", 3);
  if (nope[0] != kDimTokens) op.bad("q_nope {} has no leading dimension tokens", shape_text(nope));
  const int64_t heads = nope[1], rotary = pe[2], latent = c[1];
  op.same(pe, "q_pe", {kDimTokens, heads, rotary}, "q_nope's heads,");
  op.same(c, "c", {kDimTokens, latent}, "a row per token,");
  op.same(k_pe, "k_pe", {kDimTokens, 1, rotary}, "one head of q_pe's width,");
  const bool transposed = attr_or<int64_t>(node, "k_b_transposed", 0) != 0;
  op.weight(4, "k_b");
  op.weight_is(4, "k_b", transposed ? Shape{heads, latent, nope[2]} : Shape{heads, nope[2], latent});
  op.weight_is(5, "v_b", {heads, v_b[1], latent});
  check_state(op, graph.state(node.states[0]), {latent + rotary});
  op.result(Elem::f32, {kDimTokens, heads, v_b[1]});
}

const OpDef kLinearPerHead = {"tenon.linear_per_head/1",
                              "x f32 [..., H, K]\n"
                              "W weight [H, N, K]\n"
                              "-> f32 [..., H, N]: each head's row times its own matrix, x[h] W[h]^T",
                              2,
                              2,
                              1,
                              0,
                              infer_per_head};

const OpDef kMlaAttention = {
    "tenon.mla_attention/1",
    "q_nope f32 [T, H, N]\n"
    "q_pe f32 [T, H, R]\n"
    "c f32 [T, L]: latent rows, normalised\n"
    "k_pe f32 [T, 1, R]\n"
    "k_b weight [H, N, L], or [H, L, N] with k_b_transposed\n"
    "v_b weight [H, V, L]\n"
    "state mla_latent [L + R]\n"
    "-> f32 [T, H, V]: appends the row [c | k_pe] to the state, then attends causally with head h's keys\n"
    "[k_b[h] c | k_pe] and values v_b[h] c of every row; the query is [q_nope | q_pe]\n"
    "scale real; k_b_transposed int = 0",
    6,
    6,
    1,
    1,
    infer_attention};

}  // namespace tenon::ops
