// Products in float32 arithmetic for a few activation rows: each weight row is read once, as one contiguous stream, and
// dequantised in registers.
#pragma once

#include "backend/cpu/kernels/shared/weights.hpp"
#include "backend/cpu/linear.hpp"

namespace tenon::cpu {
namespace {

constexpr int kF32RowsMax = 4;

/// One weight row against M activation rows.
template <class Isa, DType T, int M>
TENON_INLINE void f32_row(const std::byte* w, const LinearCall& c, float* y) {
  constexpr int kSums = M == 1 ? 4 : M == 2 ? 2 : 1;  // enough independent chains to hide the latency of an FMA
  Float acc[M][kSums];
  TENON_UNROLL for (int m = 0; m < M; ++m) TENON_UNROLL for (int s = 0; s < kSums; ++s) acc[m][s] = _mm256_setzero_ps();
  const int64_t k = c.shape.k, whole = k / 32 * 32;
  for (int64_t i = 0; i < whole; i += 32, w += Weight<T>::kBytes32) {
    Isa::template prefetch<Weight<T>::kBytes32>(w);
    Float v[4];
    Weight<T>::load32(w, v);
    TENON_UNROLL for (int m = 0; m < M; ++m) TENON_UNROLL for (int j = 0; j < 4; ++j) acc[m][j % kSums] =
        _mm256_fmadd_ps(v[j], _mm256_loadu_ps(c.x + m * c.ldx + i + 8 * j), acc[m][j % kSums]);
  }
  if (whole < k) {
    Float v[4];
    load_some<T>(w, k - whole, v);
    TENON_UNROLL for (int m = 0; m < M; ++m) {
      alignas(32) float x[32] = {};
      __builtin_memcpy(x, c.x + m * c.ldx + whole, static_cast<size_t>(k - whole) * sizeof(float));
      TENON_UNROLL for (int j = 0; j < 4; ++j) acc[m][j % kSums] =
          _mm256_fmadd_ps(v[j], _mm256_load_ps(x + 8 * j), acc[m][j % kSums]);
    }
  }
  TENON_UNROLL for (int m = 0; m < M; ++m) {
    TENON_UNROLL for (int s = 1; s < kSums; ++s) acc[m][0] = _mm256_add_ps(acc[m][0], acc[m][s]);
    y[m * c.ldy] = sum(acc[m][0]);
  }
}

template <class Isa>
void run_f32_rows(const LinearCall& c) {
  with_weight_type(c.shape.w, [&]<DType T>() {
    with_count<kF32RowsMax>(c.shape.m, [&](auto m) {
      const int64_t stride = row_bytes<T>(c.shape.k);
      for (int64_t n = c.n_begin; n < c.n_end; ++n) f32_row<Isa, T, decltype(m)::value>(c.w + n * stride, c, c.y + n);
    });
  });
}

}  // namespace
}  // namespace tenon::cpu
