// rms_norm and layer_norm over the last axis.
#include <cmath>

#include "backend/reference/run.hpp"

namespace tenon::reference {

Kernel make_rms_norm(Run&, const Node& node) {
  const ValueId w = node.inputs.size() > 1 ? node.inputs[1] : 0;
  return [x = node.inputs[0], w, out = node.outputs[0], eps = static_cast<double>(norm_eps(node))](Run& run) {
    const int64_t rows = run.rows(x), d = run.width(x);
    const float* weight = run.vector(w);
    for (int64_t t = 0; t < rows; ++t) {
      const float* from = run.f32(x) + t * d;
      float* to = run.f32(out) + t * d;
      const double inv = 1 / std::sqrt(dot(from, from, d) / static_cast<double>(d) + eps);
      for (int64_t i = 0; i < d; ++i) to[i] = static_cast<float>(from[i] * inv * (weight ? weight[i] : 1.0f));
    }
  };
}

Kernel make_layer_norm(Run&, const Node& node) {
  const ValueId w = node.inputs.size() > 1 ? node.inputs[1] : 0, b = node.inputs.size() > 2 ? node.inputs[2] : 0;
  return [x = node.inputs[0], w, b, out = node.outputs[0], eps = static_cast<double>(norm_eps(node))](Run& run) {
    const int64_t rows = run.rows(x), d = run.width(x);
    const float* weight = run.vector(w);
    const float* bias = run.vector(b, Run::Slot::second);
    for (int64_t t = 0; t < rows; ++t) {
      const float* from = run.f32(x) + t * d;
      float* to = run.f32(out) + t * d;
      double mean = 0, variance = 0;
      for (int64_t i = 0; i < d; ++i) mean += from[i];
      mean /= static_cast<double>(d);
      for (int64_t i = 0; i < d; ++i) variance += (from[i] - mean) * (from[i] - mean);
      const double inv = 1 / std::sqrt(variance / static_cast<double>(d) + eps);
      for (int64_t i = 0; i < d; ++i)
        to[i] = static_cast<float>((from[i] - mean) * inv * (weight ? weight[i] : 1.0f) + (bias ? bias[i] : 0.0f));
    }
  };
}

}  // namespace tenon::reference
