// Ops that only the host's passes make: linear_group, linear_glu, linear_add.
#include "graph/ops/ops.hpp"

namespace tenon::ops {

static void infer_group(Graph& graph, Node& node) {
  OpCheck op(graph, node, {});
  if (node.inputs.size() % 2 == 0) op.bad("{} operands, expected x and pairs of W and bias", node.inputs.size());
  std::vector<Shape> shapes;
  for (size_t i = 1; i < node.inputs.size(); i += 2) shapes.push_back(linear_shape(op, 0, i, i + 1));
  for (Shape& shape : shapes) op.result(Elem::f32, std::move(shape));
}

static void infer_glu(Graph& graph, Node& node) {
  OpCheck op(graph, node,
             {{"act", AttrKind::string, Need::required}, {"alpha", AttrKind::real}, {"limit", AttrKind::real}});
  check_glu(op, node);
  const Shape gate = linear_shape(op, 0, 1, 2);
  op.same(linear_shape(op, 0, 3, 4), "up", gate, "gate");
  op.result(Elem::f32, gate);
}

static void infer_add(Graph& graph, Node& node) {
  OpCheck op(graph, node, {});
  const Shape shape = linear_shape(op, 0, 1, 2);
  op.same(op.f32(3, "residual"), "residual", shape, "linear(x)");
  op.result(Elem::f32, shape);
}

const OpDef kLinearGroup = {"host.linear_group",
                            "x f32 [..., K]\n"
                            "W1 weight [N1, K], b1 weight [N1] or absent, W2, b2, ...\n"
                            "-> f32 [..., N1], f32 [..., N2], ...: x W^T + b of each",
                            3,
                            129,
                            -1,
                            0,
                            infer_group};

const OpDef kLinearGlu = {"host.linear_glu",
                          "x f32 [..., K]\n"
                          "Wgate weight [N, K], bgate weight [N] or absent\n"
                          "Wup weight [N, K], bup weight [N] or absent\n"
                          "-> f32 [..., N]: glu(x Wgate^T + bgate, x Wup^T + bup)\n"
                          "act string, alpha real, limit real: as of tenon.glu/1",
                          5,
                          5,
                          1,
                          0,
                          infer_glu};

const OpDef kLinearAdd = {"host.linear_add",
                          "x f32 [..., K]\n"
                          "W weight [N, K], b weight [N] or absent\n"
                          "residual f32 [..., N]\n"
                          "-> f32 [..., N]: residual + x W^T + b",
                          4,
                          4,
                          1,
                          0,
                          infer_add};

}  // namespace tenon::ops
