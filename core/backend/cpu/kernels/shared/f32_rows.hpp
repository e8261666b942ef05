// Products in float32 arithmetic for a few activation rows: each weight row is read once, as one contiguous stream, and
// dequantised in registers.
#pragma once

#include "backend/cpu/kernels/shared/f32_expand.hpp"
#include "backend/cpu/kernels/shared/weights.hpp"
#include "backend/cpu/linear.hpp"

namespace tenon::cpu {
namespace {

constexpr int kF32RowsMax = 8;

/// R consecutive weight rows from `w` on against M activation rows from `x` on.
template <class Isa, DType T, int R, int M>
TENON_INLINE void f32_row_block(const std::byte* w, const LinearCall& c, const float* x, float* y) {
  constexpr int kSums = R * M >= 4 ? 1 : 4 / (R * M);  // enough independent chains to hide the latency of an FMA
  Float acc[R][M][kSums];
  TENON_UNROLL for (int r = 0; r < R; ++r) TENON_UNROLL for (int m = 0; m < M; ++m)
      TENON_UNROLL for (int s = 0; s < kSums; ++s) acc[r][m][s] = _mm256_setzero_ps();
  const int64_t k = c.shape.k, whole = k / 32 * 32, stride = row_bytes<T>(k);
  const auto add = [&](const Float v[R][4], const float* at, int64_t ld) TENON_LAMBDA_INLINE {
    TENON_UNROLL for (int j = 0; j < 4; ++j) TENON_UNROLL for (int m = 0; m < M; ++m) {
      const Float b = _mm256_loadu_ps(at + m * ld + 8 * j);
      TENON_UNROLL for (int r = 0; r < R; ++r) acc[r][m][j % kSums] = _mm256_fmadd_ps(v[r][j], b, acc[r][m][j % kSums]);
    }
  };
  Float v[R][4];
  for (int64_t i = 0; i < whole; i += 32, w += Weight<T>::kBytes32) {
    TENON_UNROLL for (int r = 0; r < R; ++r) {
      Isa::template prefetch<Weight<T>::kBytes32>(w + r * stride);
      Weight<T>::load32(w + r * stride, v[r]);
    }
    add(v, x + i, c.ldx);
  }
  if (whole < k) {
    alignas(32) float rest[M][32] = {};
    for (int r = 0; r < R; ++r) load_some<T>(w + r * stride, k - whole, v[r]);
    for (int m = 0; m < M; ++m)
      __builtin_memcpy(rest[m], x + m * c.ldx + whole, static_cast<size_t>(k - whole) * sizeof(float));
    add(v, rest[0], 32);
  }
  TENON_UNROLL for (int r = 0; r < R; ++r) TENON_UNROLL for (int m = 0; m < M; ++m) {
    TENON_UNROLL for (int s = 1; s < kSums; ++s) acc[r][m][0] = _mm256_add_ps(acc[r][m][0], acc[r][m][s]);
    y[m * c.ldy + r] = sum(acc[r][m][0]);
  }
}

/// R weight rows against all M activation rows, at most 4 at a time: 16 registers hold no more. The second pass finds
/// the weights in L1.
template <class Isa, DType T, int R, int M>
TENON_INLINE void f32_row_passes(const LinearCall& c, int64_t n) {
  constexpr int kFirst = M <= 4 ? M : (M + 1) / 2;
  const std::byte* const w = c.w + n * row_bytes<T>(c.shape.k);
  f32_row_block<Isa, T, R, kFirst>(w, c, c.x, c.y + n);
  if constexpr (kFirst < M) f32_row_block<Isa, T, R, M - kFirst>(w, c, c.x + kFirst * c.ldx, c.y + kFirst * c.ldy + n);
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
      constexpr int kM = decltype(m)::value, kR = kM == 1 ? 1 : 2;
      int64_t n = c.n_begin;
      for (; n + kR <= c.n_end; n += kR) f32_row_passes<Isa, T, kR, kM>(c, n);
      for (; n < c.n_end; ++n) f32_row_passes<Isa, T, 1, kM>(c, n);
    });
  });
  if (direct) return;
  const Expand expand = expand_function(c.shape.w);
  with_count<kF32RowsMax>(c.shape.m, [&](auto m) { f32_expanded_rows<decltype(m)::value>(c, expand); });
}

}  // namespace
}  // namespace tenon::cpu
