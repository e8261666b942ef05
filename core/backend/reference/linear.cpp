// embed, linear and the fused linears. A weight row is dequantised once and meets all rows of x.
#include "backend/reference/run.hpp"
#include "base/error.hpp"

namespace tenon::reference {

namespace {

ValueId operand(const Node& node, size_t i) { return i < node.inputs.size() ? node.inputs[i] : 0; }

/// out(row, n) is called for every element of x W^T + b.
template <typename Out>
void for_linear(Run& run, ValueId x, ValueId w, ValueId b, Out&& out) {
  const int64_t rows = run.rows(x), k = run.width(x);
  const int64_t n_out = run.graph().value(w).shape[0];
  const float* in = run.f32(x);
  const float* bias = run.vector(b, Run::Slot::second);
  for (int64_t n = 0; n < n_out; ++n) {
    const float* row = run.weight_row(w, n);
    for (int64_t t = 0; t < rows; ++t)
      out(t * n_out + n, static_cast<float>(dot(in + t * k, row, k) + (bias ? static_cast<double>(bias[n]) : 0.0)));
  }
}

}  // namespace

Kernel make_embed(Run&, const Node& node) {
  return
      [ids = node.inputs[0], table = node.inputs[1], out = node.outputs[0], scale = scale_shift(node).scale](Run& run) {
        const int64_t rows = run.rows(out), d = run.width(out), vocab = run.graph().value(table).shape[0];
        float* to = run.f32(out);
        for (int64_t t = 0; t < rows; ++t) {
          const int32_t id = run.i32(ids)[t];
          if (id < 0 || id >= vocab) fail(ErrorCode::internal, "[tenon.embed/1] id {} of {} rows", id, vocab);
          const float* row = run.weight_row(table, id);
          for (int64_t i = 0; i < d; ++i) to[t * d + i] = row[i] * scale;
        }
      };
}

Kernel make_linear(Run&, const Node& node) {
  return [x = node.inputs[0], w = node.inputs[1], b = operand(node, 2), out = node.outputs[0]](Run& run) {
    float* to = run.f32(out);
    for_linear(run, x, w, b, [&](int64_t i, float y) { to[i] = y; });
  };
}

Kernel make_linear_group(Run&, const Node& node) {
  return [inputs = node.inputs, outputs = node.outputs](Run& run) {
    for (size_t i = 0; i < outputs.size(); ++i) {
      float* to = run.f32(outputs[i]);
      for_linear(run, inputs[0], inputs[1 + 2 * i], inputs[2 + 2 * i], [&](int64_t e, float y) { to[e] = y; });
    }
  };
}

Kernel make_linear_glu(Run&, const Node& node) {
  return [in = node.inputs, out = node.outputs[0], glu = glu_spec(node)](Run& run) {
    float* to = run.f32(out);
    for_linear(run, in[0], in[1], in[2], [&](int64_t i, float gate) { to[i] = gate; });
    for_linear(run, in[0], in[3], in[4], [&](int64_t i, float up) { to[i] = apply_glu(glu, to[i], up); });
  };
}

Kernel make_linear_add(Run&, const Node& node) {
  return [in = node.inputs, out = node.outputs[0]](Run& run) {
    float* to = run.f32(out);
    const float* residual = run.f32(in[3]);
    for_linear(run, in[0], in[1], in[2], [&](int64_t i, float y) { to[i] = residual[i] + y; });
  };
}

}  // namespace tenon::reference
