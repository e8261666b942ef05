// RMS and layer norms as a value that other ops may carry in front of themselves.
#pragma once

#include "backend/cpu/op.hpp"

namespace tenon::cpu {

struct NormSpec {
  const VectorKernels* kernels = nullptr;
  bool layer = false;  // layer norm, else RMS
  const float *w = nullptr, *b = nullptr;
  float eps = 0;
  int64_t width = 0;

  /// Rows [begin, end) of x into y, both [rows, width].
  void rows(const float* x, float* y, int64_t begin, int64_t end) const {
    for (int64_t r = begin; r < end; ++r) {
      if (layer)
        kernels->layer_norm(x + r * width, w, b, eps, y + r * width, width);
      else
        kernels->rms_norm(x + r * width, w, eps, y + r * width, width);
    }
  }
};

NormSpec norm_spec(CompileCtx& ctx, const Node& node, std::string* explanation = nullptr);

}  // namespace tenon::cpu
