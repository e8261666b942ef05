// tenon.embed/1: rows of a table by token id.
#include "graph/ops/ops.hpp"

namespace tenon::ops {

static void infer(Graph& graph, Node& node) {
  OpCheck op(graph, node, {{"scale", AttrKind::real}});
  const Shape& tokens = op.i32(0, "tokens");
  const Shape& table = op.weight(1, "W");
  op.rank(tokens, "tokens", 1);
  op.rank(table, "W", 2);
  op.result(Elem::f32, {tokens[0], table[1]});
}

const OpDef kEmbed = {"tenon.embed/1",
                      "tokens i32 [T]\n"
                      "W weight [V, d]\n"
                      "-> f32 [T, d]: row tokens[t] of W times scale\n"
                      "scale real = 1",
                      2,
                      2,
                      1,
                      0,
                      infer};

}  // namespace tenon::ops
