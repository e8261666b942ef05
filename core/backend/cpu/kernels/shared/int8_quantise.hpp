// Activations rounded to int8 with one float32 scale per 32 values: the arithmetic shared by both packed forms.
#pragma once

#include "backend/cpu/kernels/shared/simd.hpp"

namespace tenon::cpu {
namespace {

/// 32 values as q * d. Of each half of 16, sum01 adds the q whose index is 0 or 1 modulo 4, sum23 the others.
struct Int8Block {
  int32_t half(int i) const { return sum01[i] + sum23[i]; }
  int32_t all() const { return half(0) + half(1); }

  Int q;
  float d;
  int32_t sum01[2], sum23[2];
};

TENON_INLINE Int8Block quantise32(const float* x) {
  const Float sign = _mm256_set1_ps(-0.0f);
  Float v[4], top = _mm256_setzero_ps();
  TENON_UNROLL for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_loadu_ps(x + 8 * i);
    top = _mm256_max_ps(top, _mm256_andnot_ps(sign, v[i]));
  }
  const float max = largest(top);
  // Below the limit 127 / max would overflow: such a block is zero beside any other.
  const Float scale = _mm256_set1_ps(max > 1e-35f ? 127.0f / max : 0.0f);
  Int q[4];
  TENON_UNROLL for (int i = 0; i < 4; ++i) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], scale));
  const Int first = _mm256_add_epi32(q[0], q[1]), second = _mm256_add_epi32(q[2], q[3]);
  const Int by_pair = _mm256_hadd_epi32(first, second);  // 01 23 of both halves, in two parts
  const __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(by_pair), _mm256_extracti128_si256(by_pair, 1));
  const Int packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
  const Int order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  return {_mm256_permutevar8x32_epi32(packed, order),
          max > 1e-35f ? max / 127.0f : 0.0f,
          {_mm_cvtsi128_si32(sums), _mm_extract_epi32(sums, 2)},
          {_mm_extract_epi32(sums, 1), _mm_extract_epi32(sums, 3)}};
}

}  // namespace
}  // namespace tenon::cpu
