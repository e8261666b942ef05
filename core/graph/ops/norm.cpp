// tenon.rms_norm/1 and tenon.layer_norm/1 over the last axis, statistics in f32 or better.
#include "graph/ops/ops.hpp"

namespace tenon::ops {

static void check(const OpCheck& op, const Shape& x) {
  const double eps = op.finite("eps", 0);
  if (eps < 0 || eps > 1) op.bad("eps {} is outside [0, 1]", eps);
  if (x.back() < 0) op.bad("the last axis of x {} is symbolic", shape_text(x));
}

static void infer_rms(Graph& graph, Node& node) {
  OpCheck op(graph, node, {{"eps", AttrKind::real, Need::required}});
  const Shape x = op.f32(0, "x");
  check(op, x);
  op.weight_is(1, "w", {x.back()});
  op.result(Elem::f32, x);
}

static void infer_layer(Graph& graph, Node& node) {
  OpCheck op(graph, node, {{"eps", AttrKind::real, Need::required}});
  const Shape x = op.f32(0, "x");
  check(op, x);
  op.weight_is(1, "w", {x.back()});
  op.weight_is(2, "b", {x.back()});
  op.result(Elem::f32, x);
}

const OpDef kRmsNorm = {"tenon.rms_norm/1",
                        "x f32 [..., D]\n"
                        "w weight [D], may be absent\n"
                        "-> f32 [..., D]: x / sqrt(mean(x^2) + eps) * w\n"
                        "eps real",
                        1,
                        2,
                        1,
                        0,
                        infer_rms};

const OpDef kLayerNorm = {"tenon.layer_norm/1",
                          "x f32 [..., D]\n"
                          "w weight [D], may be absent\n"
                          "b weight [D], may be absent\n"
                          "-> f32 [..., D]: (x - mean) / sqrt(var + eps) * w + b\n"
                          "eps real",
                          1,
                          3,
                          1,
                          0,
                          infer_layer};

}  // namespace tenon::ops
