// tenon.causal_conv1d/1, tenon.token_shift/1 and tenon.ssm_scan/1: ops whose state has one size for any length.
// The scan is Gu and Dao 2023, one decay per channel and state element; states that are matrices per head have a file
// of their own.
#include "graph/ops/recurrent.hpp"

#include "graph/ops/ops.hpp"

namespace tenon::ops {

void check_state(const OpCheck& op, const GraphState& state, StateKind kind, const Shape& want) {
  if (state.kind != kind || state.shape != want)
    op.bad("state \"{}\" is {} {}, expected {} {}", state.name, state_kind_name(state.kind), shape_text(state.shape),
           state_kind_name(kind), shape_text(want));
}

void check_rows(const OpCheck& op, const Shape& x, std::string_view name, size_t rank) {
  op.rank(x, name, rank);
  if (x[0] != kDimTokens) op.bad("{} {} has no leading dimension tokens", name, shape_text(x));
}

static void infer_conv(Graph& graph, Node& node) {
  OpCheck op(graph, node, {{"act", AttrKind::string, Need::required}});
  node_activation(node);
  const Shape x = op.f32(0, "x");
  const Shape w = op.weight(1, "w");
  check_rows(op, x, "x", 2);
  op.rank(w, "w", 2);
  if (w[0] != x[1]) op.bad("w {} has no row per channel of x {}", shape_text(w), shape_text(x));
  if (w[1] < 2 || w[1] > 64) op.bad("w {} has kernel size {}, outside 2..64", shape_text(w), w[1]);
  op.weight_is(2, "bias", {x[1]});
  check_state(op, graph.state(node.states[0]), StateKind::conv, {w[1] - 1, x[1]});
  op.result(Elem::f32, x);
}

static void infer_shift(Graph& graph, Node& node) {
  OpCheck op(graph, node, {});
  const Shape x = op.f32(0, "x");
  check_rows(op, x, "x", 2);
  check_state(op, graph.state(node.states[0]), StateKind::conv, {1, x[1]});
  op.result(Elem::f32, x);
}

static void infer_scan(Graph& graph, Node& node) {
  OpCheck op(graph, node, {});
  const Shape x = op.f32(0, "x");
  const Shape dt = op.f32(1, "dt");
  const Shape a = op.weight(2, "A");
  const Shape b = op.f32(3, "B");
  const Shape c = op.f32(4, "C");
  check_rows(op, x, "x", 2);
  op.same(dt, "dt", x, "x");
  op.rank(a, "A", 2);
  if (a[0] != x[1]) op.bad("A {} has no row per channel of x {}", shape_text(a), shape_text(x));
  op.same(b, "B", {kDimTokens, a[1]}, "a row per token of A's width,");
  op.same(c, "C", b, "B");
  op.weight_is(5, "D", {x[1]});
  check_state(op, graph.state(node.states[0]), StateKind::recurrent, a);
  op.result(Elem::f32, x);
}

const OpDef kCausalConv1d = {
    "tenon.causal_conv1d/1",
    "x f32 [T, C]\n"
    "w weight [C, K], K in 2..64\n"
    "bias weight [C], may be absent\n"
    "state conv [K-1, C]\n"
    "-> f32 [T, C]: act(bias + sum over j of w[c, j] * x at token t - K + 1 + j), each channel by itself; tokens "
    "before\n"
    "the step come from the state, which then holds the last K-1 rows; before a sequence's start all is zero\n"
    "act string, as of tenon.unary/1",
    2,
    3,
    1,
    1,
    infer_conv};

const OpDef kTokenShift = {
    "tenon.token_shift/1",
    "x f32 [T, C]\n"
    "state conv [1, C]\n"
    "-> f32 [T, C]: x of the token before, which for a step's first rows comes from the state; zero at a sequence's "
    "start",
    1,
    1,
    1,
    1,
    infer_shift};

const OpDef kSsmScan = {
    "tenon.ssm_scan/1",
    "x f32 [T, E]\n"
    "dt f32 [T, E]: step sizes, above 0\n"
    "A weight [E, N], below 0\n"
    "B f32 [T, N]\n"
    "C f32 [T, N]\n"
    "D weight [E], may be absent\n"
    "state recurrent [E, N], h\n"
    "-> f32 [T, E]: token by token h[e, n] = exp(dt[e] * A[e, n]) * h[e, n] + dt[e] * B[n] * x[e], then\n"
    "y[e] = sum over n of C[n] * h[e, n] + D[e] * x[e]; h is zero at a sequence's start",
    5,
    6,
    1,
    1,
    infer_scan};

}  // namespace tenon::ops
