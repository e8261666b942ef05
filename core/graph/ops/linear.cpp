// tenon.linear/1: y = x W^T + b.
#include "graph/ops/ops.hpp"

namespace tenon::ops {

Shape linear_shape(const OpCheck& op, size_t x_index, size_t w_index, size_t b_index) {
  const Shape& x = op.f32(x_index, "x");
  const Shape& w = op.weight(w_index, "W");
  op.rank(w, "W", 2);
  if (w[1] != x.back()) op.bad("W {} does not match the last dimension of x {}", shape_text(w), shape_text(x));
  op.weight_is(b_index, "bias", {w[0]});
  return with_last(x, w[0]);
}

static void infer(Graph& graph, Node& node) {
  OpCheck op(graph, node, {});
  op.result(Elem::f32, linear_shape(op, 0, 1, 2));
}

const OpDef kLinear = {"tenon.linear/1",
                       "x f32 [..., K]\n"
                       "W weight [N, K]\n"
                       "bias weight [N], may be absent\n"
                       "-> f32 [..., N]: x W^T + bias",
                       2,
                       3,
                       1,
                       0,
                       infer};

}  // namespace tenon::ops
