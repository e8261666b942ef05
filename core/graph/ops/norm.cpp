// Over the last axis, statistics in f32 or better: rms_norm, layer_norm (with groups: group norm), l2_norm, row_sum.
#include "graph/ops/ops.hpp"

namespace tenon::ops {

static void check(const OpCheck& op, const Node& node, const Shape& x) {
  const double eps = op.finite("eps", 0);
  if (eps < 0 || eps > 1) op.bad("eps {} is outside [0, 1]", eps);
  if (x.back() < 0) op.bad("the last axis of x {} is symbolic", shape_text(x));
  const int64_t groups = norm_groups(node);
  if (groups < 1 || x.back() % groups != 0) op.bad("{} groups do not divide x {}", groups, shape_text(x));
}

static void infer_rms(Graph& graph, Node& node) {
  OpCheck op(graph, node, {{"eps", AttrKind::real, Need::required}, {"groups", AttrKind::integer}});
  const Shape x = op.f32(0, "x");
  check(op, node, x);
  op.weight_is(1, "w", {x.back()});
  op.result(Elem::f32, x);
}

static void infer_layer(Graph& graph, Node& node) {
  OpCheck op(graph, node, {{"eps", AttrKind::real, Need::required}, {"groups", AttrKind::integer}});
  const Shape x = op.f32(0, "x");
  check(op, node, x);
  op.weight_is(1, "w", {x.back()});
  op.weight_is(2, "b", {x.back()});
  op.result(Elem::f32, x);
}

static void infer_l2(Graph& graph, Node& node) {
  OpCheck op(graph, node, {{"eps", AttrKind::real, Need::required}});
  const Shape x = op.f32(0, "x");
  check(op, node, x);
  op.result(Elem::f32, x);
}

static void infer_row_sum(Graph& graph, Node& node) {
  OpCheck op(graph, node, {});
  const Shape x = op.f32(0, "x");
  if (x.back() < 0) op.bad("the last axis of x {} is symbolic", shape_text(x));
  op.result(Elem::f32, with_last(x, 1));
}

const OpDef kRmsNorm = {"tenon.rms_norm/1",
                        "x f32 [..., D]\n"
                        "w weight [D], may be absent\n"
                        "-> f32 [..., D]: x / sqrt(mean(x^2) + eps) * w, the mean over each of `groups` runs of D\n"
                        "eps real; groups int = 1",
                        1,
                        2,
                        1,
                        0,
                        infer_rms};

const OpDef kLayerNorm = {"tenon.layer_norm/1",
                          "x f32 [..., D]\n"
                          "w weight [D], may be absent\n"
                          "b weight [D], may be absent\n"
                          "-> f32 [..., D]: (x - mean) / sqrt(var + eps) * w + b, statistics over each of `groups` "
                          "runs of D\n"
                          "eps real; groups int = 1",
                          1,
                          3,
                          1,
                          0,
                          infer_layer};

const OpDef kL2Norm = {"tenon.l2_norm/1",
                       "x f32 [..., D]\n"
                       "-> f32 [..., D]: x / sqrt(sum(x^2) + eps)\n"
                       "eps real",
                       1,
                       1,
                       1,
                       0,
                       infer_l2};

const OpDef kRowSum = {"tenon.row_sum/1",
                       "x f32 [..., D]\n"
                       "-> f32 [..., 1]: the sum over the last axis",
                       1,
                       1,
                       1,
                       0,
                       infer_row_sum};

}  // namespace tenon::ops
