// Elementwise ops: add, sub, mul, scale_shift, unary, glu, softcap, clamp.
#include "graph/ops/ops.hpp"

namespace tenon::ops {

static void infer_binary(Graph& graph, Node& node) {
  OpCheck op(graph, node, {});
  const Shape a = op.f32(0, "a");
  const Shape& b = op.f32_or_weight(1, "b");
  bool fits = !b.empty() && b.size() <= a.size() && (b.back() == a.back() || b.back() == 1);
  for (size_t i = 1; fits && i < b.size(); ++i) fits = b[b.size() - 1 - i] == a[a.size() - 1 - i];
  if (!fits) op.bad("b {} is no trailing part of a {}", shape_text(b), shape_text(a));
  op.result(Elem::f32, a);
}

static void infer_scale_shift(Graph& graph, Node& node) {
  OpCheck op(graph, node, {{"scale", AttrKind::real}, {"shift", AttrKind::real}});
  op.result(Elem::f32, Shape(op.f32(0, "x")));
}

static void infer_unary(Graph& graph, Node& node) {
  OpCheck op(graph, node, {{"act", AttrKind::string, Need::required}});
  node_activation(node);
  op.result(Elem::f32, Shape(op.f32(0, "x")));
}

void check_glu(const OpCheck& op, const Node& node) {
  const GluSpec spec = glu_spec(node);
  for (const char* key : {"alpha", "limit"})
    if (!spec.clamped && node.attrs.contains(key)) op.bad("attribute \"{}\" belongs to act swiglu_oai", key);
  if (!(spec.limit > 0)) op.bad("limit {} is not above 0", spec.limit);
}

static void infer_glu(Graph& graph, Node& node) {
  OpCheck op(graph, node,
             {{"act", AttrKind::string, Need::required}, {"alpha", AttrKind::real}, {"limit", AttrKind::real}});
  check_glu(op, node);
  const Shape gate = op.f32(0, "gate");
  op.same(op.f32(1, "up"), "up", gate, "gate");
  op.result(Elem::f32, gate);
}

static void infer_softcap(Graph& graph, Node& node) {
  OpCheck op(graph, node, {{"cap", AttrKind::real, Need::required}});
  const double cap = op.finite("cap", 0);
  if (cap <= 0) op.bad("cap {} is not above 0", cap);
  op.result(Elem::f32, Shape(op.f32(0, "x")));
}

static void infer_clamp(Graph& graph, Node& node) {
  OpCheck op(graph, node, {{"lo", AttrKind::real}, {"hi", AttrKind::real}});
  const ClampSpec spec = clamp_spec(node);
  if (!(spec.lo <= spec.hi)) op.bad("lo {} is above hi {}", spec.lo, spec.hi);
  op.result(Elem::f32, Shape(op.f32(0, "x")));
}

#define TENON_BROADCAST_B \
  "b f32 or weight, the shape of a or its trailing axes, of which the last may be 1: one value a row\n"

const OpDef kAdd = {"tenon.add/1", "a f32 [..., D]\n" TENON_BROADCAST_B "-> f32 [..., D]: a + b", 2, 2, 1, 0,
                    infer_binary};

const OpDef kSub = {"tenon.sub/1", "a f32 [..., D]\n" TENON_BROADCAST_B "-> f32 [..., D]: a - b", 2, 2, 1, 0,
                    infer_binary};

const OpDef kMul = {"tenon.mul/1", "a f32 [..., D]\n" TENON_BROADCAST_B "-> f32 [..., D]: a * b", 2, 2, 1, 0,
                    infer_binary};

const OpDef kScaleShift = {"tenon.scale_shift/1",
                           "x f32 [...]\n"
                           "-> f32 [...]: x * scale + shift\n"
                           "scale real = 1\n"
                           "shift real = 0",
                           1,
                           1,
                           1,
                           0,
                           infer_scale_shift};

const OpDef kUnary = {"tenon.unary/1",
                      "x f32 [...]\n"
                      "-> f32 [...]: act(x)\n"
                      "act string: identity silu gelu_erf gelu_tanh relu relu2 sigmoid tanh softplus exp neg sqrt",
                      1,
                      1,
                      1,
                      0,
                      infer_unary};

const OpDef kGlu = {"tenon.glu/1",
                    "gate f32 [...]\n"
                    "up f32 [...], the shape of gate\n"
                    "-> f32 [...]: act(gate) * up\n"
                    "act string, as of tenon.unary/1; or swiglu_oai: g * sigmoid(alpha * g) * (u + 1) with\n"
                    "g = min(gate, limit), u = up within [-limit, limit]; alpha real = 1.702, limit real = 7",
                    2,
                    2,
                    1,
                    0,
                    infer_glu};

const OpDef kSoftcap = {"tenon.softcap/1",
                        "x f32 [...]\n"
                        "-> f32 [...]: cap * tanh(x / cap)\n"
                        "cap real, above 0",
                        1,
                        1,
                        1,
                        0,
                        infer_softcap};

const OpDef kClamp = {"tenon.clamp/1",
                      "x f32 [...]\n"
                      "-> f32 [...]: min(max(x, lo), hi)\n"
                      "lo real = none; hi real = none, at least lo",
                      1,
                      1,
                      1,
                      0,
                      infer_clamp};

}  // namespace tenon::ops
