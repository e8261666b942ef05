// Products in float32 arithmetic for a few activation rows: each weight row is read once, as one contiguous stream, and
// dequantised in registers.
#pragma once

#include "backend/cpu/kernels/shared/f32_expand.hpp"
#include "backend/cpu/kernels/shared/weights.hpp"
#include "backend/cpu/linear.hpp"

namespace tenon::cpu {
namespace {

constexpr int kF32Pass = 4;  // activation rows at a time: the registers hold no more sums

/// R consecutive weight rows from `w` on against M activation rows from `x` on.
template <class Isa, DType T, int R, int M>
TENON_INLINE void f32_row_block(const std::byte* w, const LinearCall& c, const float* x, float* y) {
  using F = typename Isa::WideFloat;
  constexpr int kParts = 32 / Isa::kWide;
  constexpr int kSums = R * M >= 4 ? 1 : smaller(4 / (R * M), kParts);  // chains enough to hide the latency of an FMA
  F acc[R][M][kSums];
  TENON_UNROLL for (int r = 0; r < R; ++r) TENON_UNROLL for (int m = 0; m < M; ++m)
      TENON_UNROLL for (int s = 0; s < kSums; ++s) acc[r][m][s] = Isa::float_set(0.0f);
  const int64_t k = c.shape.k, whole = k / 32 * 32, stride = row_bytes<T>(k);
  const auto add = [&](const F v[R][kParts], const float* at, int64_t ld) TENON_LAMBDA_INLINE {
    TENON_UNROLL for (int j = 0; j < kParts; ++j) TENON_UNROLL for (int m = 0; m < M; ++m) {
      const F b = Isa::float_loadu(at + m * ld + Isa::kWide * j);
      TENON_UNROLL for (int r = 0; r < R; ++r) acc[r][m][j % kSums] = Isa::float_fma(v[r][j], b, acc[r][m][j % kSums]);
    }
  };
  F v[R][kParts];
  for (int64_t i = 0; i < whole; i += 32, w += Weight<T>::kBytes32) {
    TENON_UNROLL for (int r = 0; r < R; ++r) {
      if constexpr (R == 1)
        Isa::template prefetch<Weight<T>::kBytes32>(w);
      else  // side by side they come to their ends together: the next R rows into L2
        _mm_prefetch(reinterpret_cast<const char*>(w + (R + r) * stride), _MM_HINT_T1);
      Isa::template load32<T>(w + r * stride, v[r]);
    }
    add(v, x + i, c.ldx);
  }
  if (whole < k) {
    alignas(64) float rest[M][32] = {}, some[32];
    for (int r = 0; r < R; ++r) {
      Float parts[4];
      load_some<T>(w + r * stride, k - whole, parts);
      TENON_UNROLL for (int j = 0; j < 4; ++j) _mm256_store_ps(some + 8 * j, parts[j]);
      TENON_UNROLL for (int j = 0; j < kParts; ++j) v[r][j] = Isa::float_load(some + Isa::kWide * j);
    }
    for (int m = 0; m < M; ++m)
      __builtin_memcpy(rest[m], x + m * c.ldx + whole, static_cast<size_t>(k - whole) * sizeof(float));
    add(v, rest[0], 32);
  }
  TENON_UNROLL for (int r = 0; r < R; ++r) TENON_UNROLL for (int m = 0; m < M; ++m) {
    TENON_UNROLL for (int s = 1; s < kSums; ++s) acc[r][m][0] = Isa::float_add(acc[r][m][0], acc[r][m][s]);
    y[m * c.ldy + r] = Isa::float_sum(acc[r][m][0]);
  }
}

/// R weight rows against all activation rows; passes after the first find the weights in L1.
template <class Isa, DType T, int R>
TENON_INLINE void f32_row_passes(const LinearCall& c, int64_t n) {
  const std::byte* const w = c.w + n * row_bytes<T>(c.shape.k);
  for (int64_t m = 0; m < c.shape.m; m += kF32Pass)
    with_count<kF32Pass>(smaller<int64_t>(kF32Pass, c.shape.m - m), [&](auto rows) {
      f32_row_block<Isa, T, R, decltype(rows)::value>(w, c, c.x + m * c.ldx, c.y + m * c.ldy + n);
    });
}

/// Columns [n_begin, n_end), R at a time.
template <class Isa, DType T, int R>
void f32_row_blocks(const LinearCall& c) {
  int64_t n = c.n_begin;
  for (; n + R <= c.n_end; n += R) f32_row_passes<Isa, T, R>(c, n);
  for (; n < c.n_end; ++n) f32_row_passes<Isa, T, 1>(c, n);
}

/// Columns [n_begin, n_end) of a type that is expanded first, a piece at a time.
template <int M>
void f32_expanded_rows(const LinearCall& c, Expand expand) {
  const int64_t k = c.shape.k;
  const int64_t stride = dtype_row_stride(c.shape.w, k), piece_bytes = dtype_row_stride(c.shape.w, kExpandPiece);
  alignas(32) float piece[kExpandPiece];
  for (int64_t n = c.n_begin; n < c.n_end; ++n) {
    const std::byte* w = c.w + n * stride;
    Float acc[M][2];
    TENON_UNROLL for (int m = 0; m < M; ++m) acc[m][0] = acc[m][1] = _mm256_setzero_ps();
    float rest[M] = {};
    for (int64_t k0 = 0; k0 < k; k0 += kExpandPiece, w += piece_bytes) {
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

/// Columns [n_begin, n_end) of E4M3 blocks; passes after the first find the weights in L1.
template <class Isa, DType T>
void f8_rows(const LinearCall& c) {
  const int64_t stride = dtype_row_stride(T, c.shape.k);
  for (int64_t n = c.n_begin; n < c.n_end; ++n)
    for (int64_t m = 0; m < c.shape.m; m += kF32Pass)
      with_count<kF32Pass>(smaller<int64_t>(kF32Pass, c.shape.m - m), [&](auto rows) {
        f8_row<Isa, T, decltype(rows)::value>(c.w + n * stride, c, c.x + m * c.ldx, c.y + m * c.ldy + n);
      });
}

template <class Isa>
void run_f32_rows(const LinearCall& c) {
  const bool direct = with_weight_type(c.shape.w, [&]<DType T>() {
    if (c.shape.m == 1) return f32_row_blocks<Isa, T, 1>(c);
    if (c.shape.m == 2) return f32_row_blocks<Isa, T, 2>(c);
    f32_row_blocks<Isa, T, Isa::kF32Block>(c);
  });
  if (direct || with_f8_type(c.shape.w, [&]<DType T>() { f8_rows<Isa, T>(c); })) return;
  const Expand expand = expand_function(c.shape.w);
  for (int64_t m = 0; m < c.shape.m; m += kF32Pass) {
    LinearCall pass = c;
    pass.x += m * c.ldx, pass.y += m * c.ldy;
    with_count<kF32Pass>(smaller<int64_t>(kF32Pass, c.shape.m - m),
                         [&](auto rows) { f32_expanded_rows<decltype(rows)::value>(pass, expand); });
  }
}

}  // namespace
}  // namespace tenon::cpu
