// add, sub, mul, scale_shift, unary, glu, softcap, clamp, position_scale.
#include <cmath>

#include "backend/reference/run.hpp"

namespace tenon::reference {

namespace {

template <typename Op>
Kernel binary(Run& setup, const Node& node, Op op) {
  return [a = node.inputs[0], b = node.inputs[1], out = node.outputs[0], spec = broadcast(setup.graph(), node),
          op](Run& run) {
    const int64_t n = run.elements(a), d = run.width(a), b_width = spec.one_value ? 1 : d;
    const bool weight = run.graph().value(b).kind == ValueKind::weight;
    const float* x = run.f32(a);
    float* to = run.f32(out);
    for (int64_t t = 0; t * d < n; ++t) {
      const int64_t r = spec.rows ? t % spec.rows : t;
      const float* y = weight ? run.weight_row(b, r) : run.f32(b) + r * b_width;
      for (int64_t i = 0; i < d; ++i) to[t * d + i] = op(x[t * d + i], y[spec.one_value ? 0 : i]);
    }
  };
}

template <typename Op>
Kernel unary(const Node& node, Op op) {
  return [x = node.inputs[0], out = node.outputs[0], op](Run& run) {
    const int64_t n = run.elements(x);
    const float* from = run.f32(x);
    float* to = run.f32(out);
    for (int64_t i = 0; i < n; ++i) to[i] = op(from[i]);
  };
}

}  // namespace

Kernel make_add(Run& setup, const Node& node) {
  return binary(setup, node, [](float a, float b) { return a + b; });
}

Kernel make_sub(Run& setup, const Node& node) {
  return binary(setup, node, [](float a, float b) { return a - b; });
}

Kernel make_mul(Run& setup, const Node& node) {
  return binary(setup, node, [](float a, float b) { return a * b; });
}

Kernel make_glu(Run& setup, const Node& node) {
  return binary(setup, node, [glu = glu_spec(node)](float gate, float up) { return apply_glu(glu, gate, up); });
}

Kernel make_scale_shift(Run&, const Node& node) {
  return unary(node, [s = scale_shift(node)](float x) { return x * s.scale + s.shift; });
}

Kernel make_unary(Run&, const Node& node) {
  return unary(node, [act = node_activation(node)](float x) { return apply_activation(act, x); });
}

Kernel make_softcap(Run&, const Node& node) {
  return unary(node, [cap = softcap(node)](float x) { return cap * std::tanh(x / cap); });
}

Kernel make_clamp(Run&, const Node& node) {
  return unary(node, [s = clamp_spec(node)](float x) { return x < s.lo ? s.lo : x > s.hi ? s.hi : x; });
}

Kernel make_position_scale(Run&, const Node& node) {
  return [x = node.inputs[0], positions = node.inputs[1], out = node.outputs[0],
          spec = position_scale_spec(node)](Run& run) {
    const int64_t tokens = run.extent(kDimTokens), d = tokens ? run.elements(x) / tokens : 0;
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t i = 0; i < d; ++i) run.f32(out)[t * d + i] = run.f32(x)[t * d + i] * spec.at(run.i32(positions)[t]);
  };
}

}  // namespace tenon::reference
