// tenon.attention/1: grouped-query causal attention over a paged KV state.
#include "graph/ops/ops.hpp"

namespace tenon::ops {

static void check_state(const OpCheck& op, const GraphState& state, const Shape& k, const Shape& v) {
  if (state.kind != StateKind::kv)
    op.bad("state \"{}\" is of kind {}, expected kv", state.name, state_kind_name(state.kind));
  if (state.n_heads != k[1] || state.dim_k != k[2] || state.dim_v != v[2])
    op.bad("state \"{}\" ({} heads, dim_k {}, dim_v {}) does not match k {} and v {}", state.name, state.n_heads,
           state.dim_k, state.dim_v, shape_text(k), shape_text(v));
}

static void infer(Graph& graph, Node& node) {
  OpCheck op(graph, node,
             {{"scale", AttrKind::real, Need::required}, {"softcap", AttrKind::real}, {"alibi", AttrKind::reals}});
  const Shape q = op.f32(0, "q");
  const Shape& k = op.f32(1, "k");
  const Shape v = op.f32(2, "v");
  op.rank(q, "q", 3);
  op.rank(k, "k", 3);
  op.rank(v, "v", 3);
  if (q[0] != kDimTokens || k[0] != q[0] || v[0] != q[0])
    op.bad("q {}, k {} and v {} must all have the leading dimension tokens", shape_text(q), shape_text(k),
           shape_text(v));
  if (k[2] != q[2]) op.bad("k {} and q {} differ in head dimension", shape_text(k), shape_text(q));
  if (v[1] != k[1]) op.bad("v {} and k {} differ in heads", shape_text(v), shape_text(k));
  if (q[1] % k[1]) op.bad("{} query heads are no multiple of {} key heads", q[1], k[1]);
  op.weight_is(3, "sinks", {q[1]});
  if (op.finite("softcap", 0) < 0) op.bad("softcap {} is below 0", op.finite("softcap", 0));
  if (const auto slopes = attr_or<std::vector<double>>(node, "alibi", {});
      node.attrs.contains("alibi") && std::ssize(slopes) != q[1])
    op.bad("{} alibi slopes for {} query heads", slopes.size(), q[1]);
  check_state(op, graph.state(node.states[0]), k, v);
  op.result(Elem::f32, {q[0], q[1], v[2]});
}

const OpDef kAttention = {
    "tenon.attention/1",
    "q f32 [T, H, Dk]\n"
    "k f32 [T, G, Dk], G divides H\n"
    "v f32 [T, G, Dv]\n"
    "sinks weight [H], may be absent: one more logit per head in the softmax's sum\n"
    "state kv (G heads, Dk, Dv, its window)\n"
    "-> f32 [T, H, Dv]: appends k and v to the state, then attends causally; query p sees keys with p - key < window\n"
    "scale real; softcap real = 0: none, else cap * tanh(score / cap)\n"
    "alibi reals [H], may be absent: slopes; score = scale * (q.k + bf16(bf16(alibi[h]) * bf16(key position)))",
    3,
    4,
    1,
    1,
    infer};

}  // namespace tenon::ops
