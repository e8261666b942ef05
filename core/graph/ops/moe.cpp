// tenon.moe_route/1 and tenon.moe_ffn/1: top-k routing and the experts' gated feed-forward.
#include "graph/ops/ops.hpp"

namespace tenon::ops {

static void infer_route(Graph& graph, Node& node) {
  OpCheck op(graph, node,
             {{"k", AttrKind::integer, Need::required},
              {"score", AttrKind::string, Need::required},
              {"renormalise", AttrKind::integer},
              {"scale", AttrKind::real}});
  const Shape logits = op.f32(0, "logits");
  op.rank(logits, "logits", 2);
  op.weight_is(1, "bias", {logits[1]});
  const RouteSpec spec = route_spec(node);
  if (spec.k < 1 || spec.k > logits[1])
    op.bad("k {} is outside [1, {}], the experts of logits {}", spec.k, logits[1], shape_text(logits));
  op.result(Elem::i32, {logits[0], spec.k});
  op.result(Elem::f32, {logits[0], spec.k});
}

static void infer_ffn(Graph& graph, Node& node) {
  OpCheck op(graph, node, {{"act", AttrKind::string, Need::required}});
  node_activation(node);
  const Shape x = op.f32(0, "x");
  const Shape& ids = op.i32(1, "ids");
  const Shape& weights = op.f32(2, "weights");
  const Shape& gate = op.weight(3, "Wgate");
  const Shape& down = op.weight(5, "Wdown");
  op.rank(x, "x", 2);
  op.rank(ids, "ids", 2);
  op.same(weights, "weights", ids, "ids");
  op.rank(gate, "Wgate", 3);
  op.same(op.weight(4, "Wup"), "Wup", gate, "Wgate");
  if (ids[0] != x[0]) op.bad("ids {} and x {} differ in rows", shape_text(ids), shape_text(x));
  if (gate[2] != x[1]) op.bad("Wgate {} does not match the last dimension of x {}", shape_text(gate), shape_text(x));
  if (down != Shape{gate[0], gate[2], gate[1]})
    op.bad("Wdown {} does not match Wgate {}", shape_text(down), shape_text(gate));
  op.result(Elem::f32, x);
}

const OpDef kMoeRoute = {"tenon.moe_route/1",
                         "logits f32 [T, E]\n"
                         "bias weight [E], may be absent: added to the scores for the selection only\n"
                         "-> ids i32 [T, k], best first, the lower index first among equals\n"
                         "-> weights f32 [T, k]\n"
                         "k int; score string: softmax (over all), sigmoid, softmax_selected (over the k selected)\n"
                         "renormalise int = 0: weights / (sum + 1e-20); scale real = 1: of the weights, last",
                         1,
                         2,
                         2,
                         0,
                         infer_route};

const OpDef kMoeFfn = {"tenon.moe_ffn/1",
                       "x f32 [T, d]\n"
                       "ids i32 [T, k]\n"
                       "weights f32 [T, k]\n"
                       "Wgate weight [E, f, d]\n"
                       "Wup weight [E, f, d]\n"
                       "Wdown weight [E, d, f]\n"
                       "-> f32 [T, d]: sum over k of weights * Wdown[id] (act(Wgate[id] x) * (Wup[id] x))\n"
                       "act string, as of tenon.unary/1",
                       6,
                       6,
                       1,
                       0,
                       infer_ffn};

}  // namespace tenon::ops
