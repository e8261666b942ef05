// E4M3 blocks (a float32 scale before 128 or 32 codes; a row's last block padded with zeros) in float32 arithmetic.
// Codes become numbers through float16: moved to the top of a half, a code has its exponent in the lower four of five
// bits and is 2^-8 of its value, subnormals included. The scale takes the 2^8 back, which is exact.
#pragma once

#include "backend/cpu/kernels/shared/simd.hpp"
#include "backend/cpu/linear.hpp"
#include "tensor/dtype.hpp"

namespace tenon::cpu {
namespace {

template <DType T>
struct F8 {
  static constexpr int kElems = T == DType::f8_b128 ? 128 : 32, kBytes = kElems + 4;
};

/// Calls fn.template operator()<T>() for a type of E4M3 blocks; false for any other.
template <typename Fn>
TENON_INLINE bool with_f8_type(DType type, Fn&& fn) {
  if (type == DType::f8_b128) return fn.template operator()<DType::f8_b128>(), true;
  if (type == DType::f8_b32) return fn.template operator()<DType::f8_b32>(), true;
  return false;
}

TENON_INLINE float f8_scale(const std::byte* block) {
  float scale;
  __builtin_memcpy(&scale, block, sizeof scale);
  return scale * 256.0f;
}

/// 32 codes as 2^-8 of their values.
TENON_INLINE void f8_floats(const std::byte* codes, Float w[4]) {
  const Int q = load_int(codes), zero = _mm256_setzero_si256();
  const Int top[2] = {_mm256_unpacklo_epi8(zero, q), _mm256_unpackhi_epi8(zero, q)};  // in lanes: 0-7 16-23, 8-15 24-31
  TENON_UNROLL for (int i = 0; i < 2; ++i) {
    const Int half = _mm256_and_si256(_mm256_srai_epi16(top[i], 1), _mm256_set1_epi16(static_cast<int16_t>(0xbfff)));
    w[i] = _mm256_cvtph_ps(_mm256_castsi256_si128(half));
    w[i + 2] = _mm256_cvtph_ps(_mm256_extracti128_si256(half, 1));
  }
}

/// One weight row against M activation rows from `rows` on: a sum per block, scaled once.
template <class Isa, DType T, int M>
TENON_INLINE void f8_row(const std::byte* w, const LinearCall& c, const float* rows, float* y) {
  constexpr int kSums = M <= 2 ? 4 : 2;
  Float total[M];
  TENON_UNROLL for (int m = 0; m < M; ++m) total[m] = _mm256_setzero_ps();
  for (int64_t k0 = 0; k0 < c.shape.k; k0 += F8<T>::kElems, w += F8<T>::kBytes) {
    Isa::template prefetch<F8<T>::kBytes>(w);
    const int64_t count = smaller<int64_t>(F8<T>::kElems, c.shape.k - k0);
    Float acc[M][kSums], v[4];
    TENON_UNROLL for (int m = 0; m < M; ++m) TENON_UNROLL for (int s = 0; s < kSums; ++s) acc[m][s] =
        _mm256_setzero_ps();
    int64_t i = 0;
    for (; i + 32 <= count; i += 32) {
      f8_floats(w + 4 + i, v);
      TENON_UNROLL for (int m = 0; m < M; ++m) TENON_UNROLL for (int j = 0; j < 4; ++j) acc[m][j % kSums] =
          _mm256_fmadd_ps(v[j], _mm256_loadu_ps(rows + m * c.ldx + k0 + i + 8 * j), acc[m][j % kSums]);
    }
    if (i < count) {
      f8_floats(w + 4 + i, v);
      TENON_UNROLL for (int m = 0; m < M; ++m) {
        alignas(32) float x[32] = {};
        __builtin_memcpy(x, rows + m * c.ldx + k0 + i, static_cast<size_t>(count - i) * sizeof(float));
        TENON_UNROLL for (int j = 0; j < 4; ++j) acc[m][j % kSums] =
            _mm256_fmadd_ps(v[j], _mm256_load_ps(x + 8 * j), acc[m][j % kSums]);
      }
    }
    const Float scale = _mm256_set1_ps(f8_scale(w));
    TENON_UNROLL for (int m = 0; m < M; ++m) {
      TENON_UNROLL for (int s = 1; s < kSums; ++s) acc[m][0] = _mm256_add_ps(acc[m][0], acc[m][s]);
      total[m] = _mm256_fmadd_ps(acc[m][0], scale, total[m]);
    }
  }
  TENON_UNROLL for (int m = 0; m < M; ++m) y[m * c.ldy] = sum(total[m]);
}

/// Whole blocks as float32: what lies past `count` in the last one is zero.
template <DType T>
TENON_NOINLINE void expand_f8(DType, const std::byte* p, float* out, int64_t count) {
  for (int64_t at = 0; at < count; at += F8<T>::kElems, p += F8<T>::kBytes) {
    const Float scale = _mm256_set1_ps(f8_scale(p));
    TENON_UNROLL for (int i = 0; i < F8<T>::kElems; i += 32) {
      Float w[4];
      f8_floats(p + 4 + i, w);
      TENON_UNROLL for (int j = 0; j < 4; ++j) _mm256_storeu_ps(out + at + i + 8 * j, _mm256_mul_ps(w[j], scale));
    }
  }
}

}  // namespace
}  // namespace tenon::cpu
