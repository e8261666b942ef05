// Products in float32 arithmetic for a few activation rows: each weight row is read once, as one contiguous stream, and
// dequantised in registers.
#pragma once

#include "backend/cpu/kernels/shared/f32_expand.hpp"
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

/// Columns [n_begin, n_end) of a type that is expanded first, a piece at a time.
template <int M>
void f32_expanded_rows(const LinearCall& c, Expand expand) {
  const int64_t k = c.shape.k;
  const DTypeInfo& info = dtype_info(c.shape.w);
  alignas(32) float piece[kExpandPiece];
  for (int64_t n = c.n_begin; n < c.n_end; ++n) {
    const std::byte* w = c.w + n * (k / info.block_elems * info.block_bytes);
    Float acc[M][2];
    TENON_UNROLL for (int m = 0; m < M; ++m) acc[m][0] = acc[m][1] = _mm256_setzero_ps();
    float rest[M] = {};
    for (int64_t k0 = 0; k0 < k; k0 += kExpandPiece, w += kExpandPiece / info.block_elems * info.block_bytes) {
      const int64_t count = smaller(kExpandPiece, k - k0);
      expand(c.shape.w, w, piece, count);
      int64_t i = 0;
      for (; i + 16 <= count; i += 16) {
        const Float w0 = _mm256_load_ps(piece + i), w1 = _mm256_load_ps(piece + i + 8);
        TENON_UNROLL for (int m = 0; m < M; ++m) {
          const float* const x = c.x + m * c.ldx + k0 + i;
          acc[m][0] = _mm256_fmadd_ps(w0, _mm256_loadu_ps(x), acc[m][0]);
          acc[m][1] = _mm256_fmadd_ps(w1, _mm256_loadu_ps(x + 8), acc[m][1]);
        }
      }
      for (; i < count; ++i)
        for (int m = 0; m < M; ++m) rest[m] += piece[i] * c.x[m * c.ldx + k0 + i];
    }
    TENON_UNROLL for (int m = 0; m < M; ++m) c.y[m * c.ldy + n] = sum(_mm256_add_ps(acc[m][0], acc[m][1])) + rest[m];
  }
}

template <class Isa>
void run_f32_rows(const LinearCall& c) {
  const bool direct = with_weight_type(c.shape.w, [&]<DType T>() {
    with_count<kF32RowsMax>(c.shape.m, [&](auto m) {
      const int64_t stride = row_bytes<T>(c.shape.k);
      for (int64_t n = c.n_begin; n < c.n_end; ++n) f32_row<Isa, T, decltype(m)::value>(c.w + n * stride, c, c.y + n);
    });
  });
  if (direct) return;
  const Expand expand = expand_function(c.shape.w);
  with_count<kF32RowsMax>(c.shape.m, [&](auto m) { f32_expanded_rows<decltype(m)::value>(c, expand); });
}

}  // namespace
}  // namespace tenon::cpu
