// Seven weight types as 32 consecutive float32 values in registers, exactly the reference dequantiser's; others
// are expanded in memory (f32_expand.hpp).
// Written from spec/formats.md (block layouts).
#pragma once

#include "backend/cpu/kernels/shared/simd.hpp"
#include "tensor/dtype.hpp"

namespace tenon::cpu {
namespace {

/// kBytes32: stored bytes of 32 weights. load32: those weights as four vectors.
template <DType T>
struct Weight;

template <>
struct Weight<DType::f32> {
  static constexpr int kBytes32 = 128;
  static TENON_INLINE void load32(const std::byte* p, Float w[4]) {
    TENON_UNROLL for (int i = 0; i < 4; ++i) w[i] = _mm256_castsi256_ps(load_int(p + 32 * i));
  }
};

template <>
struct Weight<DType::f16> {
  static constexpr int kBytes32 = 64;
  static TENON_INLINE void load32(const std::byte* p, Float w[4]) {
    TENON_UNROLL for (int i = 0; i < 4; ++i) w[i] = _mm256_cvtph_ps(load_half(p + 16 * i));
  }
};

template <>
struct Weight<DType::bf16> {
  static constexpr int kBytes32 = 64;
  static TENON_INLINE void load32(const std::byte* p, Float w[4]) {
    TENON_UNROLL for (int i = 0; i < 4; ++i) w[i] =
        _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_half(p + 16 * i)), 16));
  }
};

/// The 16 nibbles of each half of a 4-bit block, in element order: low[i] is element i, high[i] is element 16 + i.
struct Nibbles {
  explicit TENON_INLINE Nibbles(const std::byte* p) {
    const __m128i q = load_half(p), mask = _mm_set1_epi8(15);
    low = _mm_and_si128(q, mask);
    high = _mm_and_si128(_mm_srli_epi16(q, 4), mask);
  }
  TENON_INLINE void to_float(Float w[4]) const {
    w[0] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(low));
    w[1] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(low, 8)));
    w[2] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(high));
    w[3] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(high, 8)));
  }
  __m128i low, high;
};

template <>
struct Weight<DType::q4_0> {
  static constexpr int kBytes32 = 18;
  static TENON_INLINE void load32(const std::byte* p, Float w[4]) {
    const Float d = _mm256_set1_ps(load_f16(p)), eight = _mm256_set1_ps(8.0f);
    Nibbles(p + 2).to_float(w);
    TENON_UNROLL for (int i = 0; i < 4; ++i) w[i] = _mm256_mul_ps(_mm256_sub_ps(w[i], eight), d);
  }
};

template <>
struct Weight<DType::q4_1> {
  static constexpr int kBytes32 = 20;
  static TENON_INLINE void load32(const std::byte* p, Float w[4]) {
    const Float d = _mm256_set1_ps(load_f16(p)), min = _mm256_set1_ps(load_f16(p + 2));
    Nibbles(p + 4).to_float(w);
    TENON_UNROLL for (int i = 0; i < 4; ++i) w[i] = _mm256_add_ps(_mm256_mul_ps(w[i], d), min);
  }
};

template <>
struct Weight<DType::q8_0> {
  static constexpr int kBytes32 = 34;
  static TENON_INLINE void load32(const std::byte* p, Float w[4]) {
    const Float d = _mm256_set1_ps(load_f16(p));
    TENON_UNROLL for (int i = 0; i < 4; ++i) {
      const __m128i q = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 2 + 8 * i));
      w[i] = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)), d);
    }
  }
};

template <>
struct Weight<DType::i4_b32> {
  static constexpr int kBytes32 = 20;
  static TENON_INLINE void load32(const std::byte* p, Float w[4]) {
    const Float d = _mm256_castsi256_ps(_mm256_set1_epi32(load_i32(p))), eight = _mm256_set1_ps(8.0f);
    Nibbles(p + 4).to_float(w);
    TENON_UNROLL for (int i = 0; i < 4; ++i) w[i] = _mm256_mul_ps(_mm256_sub_ps(w[i], eight), d);
  }
};

template <DType T>
TENON_INLINE int64_t row_bytes(int64_t k) {
  return k * Weight<T>::kBytes32 / 32;
}

/// As load32 for the last `count` < 32 weights of a row of a plain type; the others read as zero.
template <DType T>
TENON_INLINE void load_some(const std::byte* p, int64_t count, Float w[4]) {
  alignas(32) std::byte padded[Weight<T>::kBytes32] = {};
  __builtin_memcpy(padded, p, static_cast<size_t>(count * Weight<T>::kBytes32 / 32));
  Weight<T>::load32(padded, w);
}

/// Calls fn.template operator()<T>() for one of the seven types; false for any other.
template <typename Fn>
TENON_INLINE bool with_weight_type(DType type, Fn&& fn) {
  const auto try_each = [&]<DType... T>() {
    return ((type == T ? (fn.template operator()<T>(), true) : false) || ...);
  };
  return try_each
      .template operator()<DType::f32, DType::f16, DType::bf16, DType::q4_0, DType::q4_1, DType::q8_0, DType::i4_b32>();
}

}  // namespace
}  // namespace tenon::cpu
