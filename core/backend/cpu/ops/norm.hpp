// Norms as a value that other ops may carry in front of themselves.
#pragma once

#include "backend/cpu/op.hpp"

namespace tenon::cpu {

struct NormSpec {
  const VectorKernels* kernels = nullptr;
  enum class Kind : uint8_t { rms, layer, l2 } kind = Kind::rms;
  const float *w = nullptr, *b = nullptr;
  float eps = 0;
  int64_t groups = 1, width = 0;  // of a group

  /// Rows [begin, end) of x into y, both [rows, groups * width].
  void rows(const float* x, float* y, int64_t begin, int64_t end) const {
    for (int64_t r = begin * groups; r < end * groups; ++r) {
      const int64_t at = r % groups * width;
      const float *from = x + r * width, *scale = w ? w + at : nullptr;
      float* to = y + r * width;
      if (kind == Kind::rms) kernels->rms_norm(from, scale, eps, to, width);
      if (kind == Kind::layer) kernels->layer_norm(from, scale, b ? b + at : nullptr, eps, to, width);
      if (kind == Kind::l2) kernels->l2_norm(from, eps, to, width);
    }
  }
};

NormSpec norm_spec(CompileCtx& ctx, const Node& node, std::string* explanation = nullptr);

}  // namespace tenon::cpu
