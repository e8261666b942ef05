// rms_norm, layer_norm, l2_norm and row_sum over the last axis, the first two over equal runs of it.
#include <cmath>

#include "backend/reference/run.hpp"

namespace tenon::reference {

Kernel make_rms_norm(Run&, const Node& node) {
  const ValueId w = node.inputs.size() > 1 ? node.inputs[1] : 0;
  return [x = node.inputs[0], w, out = node.outputs[0], groups = norm_groups(node),
          eps = static_cast<double>(norm_eps(node))](Run& run) {
    const int64_t rows = run.rows(x) * groups, d = run.width(x) / groups;
    const float* weight = run.vector(w);
    for (int64_t t = 0; t < rows; ++t) {
      const float* from = run.f32(x) + t * d;
      float* to = run.f32(out) + t * d;
      const float* scale = weight ? weight + t % groups * d : nullptr;
      const double inv = 1 / std::sqrt(dot(from, from, d) / static_cast<double>(d) + eps);
      for (int64_t i = 0; i < d; ++i) to[i] = static_cast<float>(from[i] * inv * (scale ? scale[i] : 1.0f));
    }
  };
}

Kernel make_layer_norm(Run&, const Node& node) {
  const ValueId w = node.inputs.size() > 1 ? node.inputs[1] : 0, b = node.inputs.size() > 2 ? node.inputs[2] : 0;
  return [x = node.inputs[0], w, b, out = node.outputs[0], groups = norm_groups(node),
          eps = static_cast<double>(norm_eps(node))](Run& run) {
    const int64_t rows = run.rows(x) * groups, d = run.width(x) / groups;
    const float* weight = run.vector(w);
    const float* bias = run.vector(b, Run::Slot::second);
    for (int64_t t = 0; t < rows; ++t) {
      const float* from = run.f32(x) + t * d;
      float* to = run.f32(out) + t * d;
      const float *scale = weight ? weight + t % groups * d : nullptr, *shift = bias ? bias + t % groups * d : nullptr;
      double mean = 0, variance = 0;
      for (int64_t i = 0; i < d; ++i) mean += from[i];
      mean /= static_cast<double>(d);
      for (int64_t i = 0; i < d; ++i) variance += (from[i] - mean) * (from[i] - mean);
      const double inv = 1 / std::sqrt(variance / static_cast<double>(d) + eps);
      for (int64_t i = 0; i < d; ++i)
        to[i] = static_cast<float>((from[i] - mean) * inv * (scale ? scale[i] : 1.0f) + (shift ? shift[i] : 0.0f));
    }
  };
}

Kernel make_l2_norm(Run&, const Node& node) {
  return [x = node.inputs[0], out = node.outputs[0], eps = static_cast<double>(norm_eps(node))](Run& run) {
    const int64_t rows = run.rows(x), d = run.width(x);
    for (int64_t t = 0; t < rows; ++t) {
      const float* from = run.f32(x) + t * d;
      const double inv = 1 / std::sqrt(dot(from, from, d) + eps);
      for (int64_t i = 0; i < d; ++i) run.f32(out)[t * d + i] = static_cast<float>(from[i] * inv);
    }
  };
}

Kernel make_row_sum(Run&, const Node& node) {
  return [x = node.inputs[0], out = node.outputs[0]](Run& run) {
    const int64_t rows = run.rows(x), d = run.width(x);
    for (int64_t t = 0; t < rows; ++t) {
      double sum = 0;
      for (int64_t i = 0; i < d; ++i) sum += run.f32(x)[t * d + i];
      run.f32(out)[t] = static_cast<float>(sum);
    }
  };
}

}  // namespace tenon::reference
