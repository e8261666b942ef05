// Ops that keep one matrix per head, S [dim_k, dim_v], zero at a sequence's start: each token fades it, adds the outer
// product of its key and value, and reads it with its query. tenon.ssd_scan/1 (Dao and Gu 2024), tenon.wkv6/1 and
// tenon.wkv7/1 (Peng et al. 2024, 2025), tenon.gated_delta_rule/1 (Yang et al. 2024). Decays are given as logarithms.
#include "graph/ops/ops.hpp"
#include "graph/ops/recurrent.hpp"

namespace tenon::ops {

/// `x` is [tokens, H, D] with H a multiple of its heads, `width` wide.
static void check_heads(const OpCheck& op, const Shape& x, std::string_view name, int64_t heads, int64_t width) {
  check_rows(op, x, name, 3);
  if (heads % x[1] != 0 || x[2] != width)
    op.bad("{} {} does not serve {} heads of width {}", name, shape_text(x), heads, width);
}

static void infer_ssd(Graph& graph, Node& node) {
  OpCheck op(graph, node, {});
  const Shape x = op.f32(0, "x"), dt = op.f32(1, "dt"), b = op.f32(3, "B"), c = op.f32(4, "C");
  check_rows(op, x, "x", 3);
  op.same(dt, "dt", {kDimTokens, x[1]}, "a step per head of x,");
  op.weight(2, "A");
  op.weight_is(2, "A", {x[1]});
  check_rows(op, b, "B", 3);
  check_heads(op, b, "B", x[1], b[2]);
  op.same(c, "C", b, "B");
  op.weight_is(5, "D", {x[1]});
  check_state(op, graph.state(node.states[0]), StateKind::recurrent, {x[1], b[2], x[2]});
  op.result(Elem::f32, x);
}

static void infer_wkv6(Graph& graph, Node& node) {
  OpCheck op(graph, node, {});
  const Shape r = op.f32(0, "r"), k = op.f32(1, "k"), v = op.f32(2, "v"), w = op.f32_or_weight(3, "w");
  check_rows(op, r, "r", 3);
  op.same(k, "k", r, "r");
  check_rows(op, v, "v", 3);
  if (v[1] != r[1]) op.bad("v {} has other heads than r {}", shape_text(v), shape_text(r));
  if (w != r && w != Shape{r[1], r[2]})
    op.bad("w {} has no decay per key channel of r {}", shape_text(w), shape_text(r));
  op.weight(4, "u");
  op.weight_is(4, "u", {r[1], r[2]});
  check_state(op, graph.state(node.states[0]), StateKind::recurrent, {r[1], r[2], v[2]});
  op.result(Elem::f32, v);
}

static void infer_wkv7(Graph& graph, Node& node) {
  OpCheck op(graph, node, {});
  const Shape r = op.f32(0, "r"), v = op.f32(3, "v");
  check_rows(op, r, "r", 3);
  op.same(op.f32(1, "w"), "w", r, "r");
  op.same(op.f32(2, "k"), "k", r, "r");
  op.same(op.f32(4, "a"), "a", r, "r");
  op.same(op.f32(5, "b"), "b", r, "r");
  check_rows(op, v, "v", 3);
  if (v[1] != r[1]) op.bad("v {} has other heads than r {}", shape_text(v), shape_text(r));
  check_state(op, graph.state(node.states[0]), StateKind::recurrent, {r[1], r[2], v[2]});
  op.result(Elem::f32, v);
}

static void infer_delta(Graph& graph, Node& node) {
  OpCheck op(graph, node, {{"scale", AttrKind::real}});
  const Shape q = op.f32(0, "q"), v = op.f32(2, "v"), g = op.f32(3, "g"), beta = op.f32(4, "beta");
  check_rows(op, v, "v", 3);
  check_rows(op, q, "q", 3);
  check_heads(op, q, "q", v[1], q[2]);
  op.same(op.f32(1, "k"), "k", q, "q");
  const Shape per_head = {kDimTokens, v[1]}, per_channel = {kDimTokens, v[1], q[2]};
  if (g != per_head && g != per_channel)
    op.bad("g {} is neither {} nor {}", shape_text(g), shape_text(per_head), shape_text(per_channel));
  op.same(beta, "beta", per_head, "a strength per head,");
  check_state(op, graph.state(node.states[0]), StateKind::recurrent, {v[1], q[2], v[2]});
  op.result(Elem::f32, v);
}

const OpDef kSsdScan = {
    "tenon.ssd_scan/1",
    "x f32 [T, H, P]\n"
    "dt f32 [T, H]: step sizes, above 0\n"
    "A weight [H], below 0\n"
    "B f32 [T, G, N], G divides H: head h reads group h / (H/G)\n"
    "C f32 [T, G, N]\n"
    "D weight [H], may be absent\n"
    "state recurrent [H, N, P], S\n"
    "-> f32 [T, H, P]: token by token, per head, S[n, p] = exp(dt * A) * S[n, p] + dt * B[n] * x[p], then\n"
    "y[p] = sum over n of C[n] * S[n, p] + D * x[p]",
    5,
    6,
    1,
    1,
    infer_ssd};

const OpDef kWkv6 = {
    "tenon.wkv6/1",
    "r f32 [T, H, K]\n"
    "k f32 [T, H, K]\n"
    "v f32 [T, H, V]\n"
    "w f32 [T, H, K] or weight [H, K]: logarithms of the decay, below 0\n"
    "u weight [H, K]: what the token itself counts\n"
    "state recurrent [H, K, V], S\n"
    "-> f32 [T, H, V]: token by token, per head, y[j] = sum over i of r[i] * (S[i, j] + u[i] * k[i] * v[j]), then\n"
    "S[i, j] = exp(w[i]) * S[i, j] + k[i] * v[j]",
    5,
    5,
    1,
    1,
    infer_wkv6};

const OpDef kWkv7 = {
    "tenon.wkv7/1",
    "r f32 [T, H, K]\n"
    "w f32 [T, H, K]: logarithms of the decay, below 0\n"
    "k f32 [T, H, K]\n"
    "v f32 [T, H, V]\n"
    "a f32 [T, H, K]: the direction that is read and replaced\n"
    "b f32 [T, H, K]: where what was read goes\n"
    "state recurrent [H, K, V], S\n"
    "-> f32 [T, H, V]: token by token, per head, z[j] = sum over i of a[i] * S[i, j], then\n"
    "S[i, j] = exp(w[i]) * S[i, j] + b[i] * z[j] + k[i] * v[j], then y[j] = sum over i of r[i] * S[i, j]",
    6,
    6,
    1,
    1,
    infer_wkv7};

const OpDef kGatedDeltaRule = {
    "tenon.gated_delta_rule/1",
    "q f32 [T, G, K], G divides H: head h reads group h / (H/G)\n"
    "k f32 [T, G, K]\n"
    "v f32 [T, H, V]\n"
    "g f32 [T, H] or [T, H, K]: logarithms of the decay, per head or per key channel\n"
    "beta f32 [T, H]: strength of the correction\n"
    "state recurrent [H, K, V], S\n"
    "-> f32 [T, H, V]: token by token, per head, S[i, j] *= exp(g[i]), z[j] = beta * (v[j] - sum over i of k[i] * "
    "S[i, j]),\n"
    "S[i, j] += k[i] * z[j], then y[j] = scale * sum over i of q[i] * S[i, j]\n"
    "scale real = 1",
    5,
    5,
    1,
    1,
    infer_delta};

}  // namespace tenon::ops
