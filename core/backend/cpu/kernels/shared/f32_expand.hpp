// Block-quantised weights as float32 in memory, some at a time: what lets the float32 kernels read every type. Types
// with byte codes and E4M3 blocks are expanded in registers, all others by the reference dequantiser.
#pragma once

#include "backend/cpu/kernels/shared/f8_blocks.hpp"
#include "backend/cpu/kernels/shared/super_codes.hpp"
#include "backend/cpu/kernels/shared/weights.hpp"

namespace tenon::cpu {
namespace {

constexpr int64_t kExpandPiece = 256;  // weights: a multiple of every type's block

using Expand = void (*)(DType type, const std::byte* p, float* out, int64_t count);

/// Bytes [8 * part, 8 * part + 8) of a lane as float32.
template <bool kSigned>
TENON_INLINE Float code_floats(Int codes, int lane, int part) {
  const __m128i bytes = lane ? _mm256_extracti128_si256(codes, 1) : _mm256_castsi256_si128(codes);
  const __m128i eight = part ? _mm_srli_si128(bytes, 8) : bytes;
  return _mm256_cvtepi32_ps(kSigned ? _mm256_cvtepi8_epi32(eight) : _mm256_cvtepu8_epi32(eight));
}

/// Scales and minima of a group of 8 blocks per half block: [block in stored order][half].
template <DType T>
TENON_INLINE void half_block_scales(const std::byte* p, float scale[16], float min[16]) {
  using C = Codes<T>;
  static constexpr int kOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};
  alignas(32) float d[16], m[16];
  if constexpr (C::kHalves) {
    const HalfScales s = C::scales(p);
    TENON_UNROLL for (int half = 0; half < 2; ++half) {
      const auto pick = [half](Int v) {
        return _mm256_cvtepi32_ps(_mm256_srai_epi32(half ? v : _mm256_slli_epi32(v, 16), 16));
      };
      _mm256_store_ps(d + 8 * half, _mm256_mul_ps(pick(s.scale), _mm256_set1_ps(s.d)));
      _mm256_store_ps(m + 8 * half, _mm256_mul_ps(pick(s.min), _mm256_set1_ps(s.dmin)));
    }
  } else {
    const BlockScales s = C::template scales<0, 4>(p);
    TENON_UNROLL for (int half = 0; half < 2; ++half) {
      _mm256_store_ps(d + 8 * half, s.d);
      _mm256_store_ps(m + 8 * half, s.min);
    }
  }
  TENON_UNROLL for (int i = 0; i < 8; ++i) TENON_UNROLL for (int half = 0; half < 2; ++half) {
    scale[2 * kOrder[i] + half] = d[8 * half + i];
    min[2 * kOrder[i] + half] = m[8 * half + i];
  }
}

template <DType T, int J>
TENON_INLINE void expand_pair(const std::byte* p, const float scale[16], const float min[16], float* out) {
  using C = Codes<T>;
  Int codes[2];
  pair_codes<T, J>(p, codes);
  const Float offset = _mm256_set1_ps(static_cast<float>(C::kOffset));
  TENON_UNROLL for (int lane = 0; lane < 2; ++lane) TENON_UNROLL for (int half = 0; half < 2; ++half) {
    const int at = 2 * (2 * J + lane) + half;
    const Float d = _mm256_set1_ps(scale[at]);
    TENON_UNROLL for (int part = 0; part < 2; ++part) {
      Float w = code_floats<C::kSigned>(codes[half], lane, part);
      if constexpr (C::kOffset != 0) w = _mm256_sub_ps(w, offset);
      w = C::kMin ? _mm256_fmadd_ps(w, d, _mm256_set1_ps(min[at])) : _mm256_mul_ps(w, d);
      _mm256_storeu_ps(out + 16 * at + 8 * part, w);
    }
  }
}

/// count: at most kExpandPiece. Writes a whole piece, what is past count as zeros or the like.
template <DType T>
TENON_NOINLINE void expand_codes(DType, const std::byte* p, float* out, int64_t count) {
  using C = Codes<T>;
  std::byte padded[C::kSuper ? 1 : C::kGroup];
  if constexpr (!C::kSuper)
    if (count < kExpandPiece) p = pad_group<C::kGroup>(padded, p, C::row_bytes(count));
  float scale[16], min[16];
  half_block_scales<T>(p, scale, min);
  expand_pair<T, 0>(p, scale, min, out);
  expand_pair<T, 1>(p, scale, min, out);
  expand_pair<T, 2>(p, scale, min, out);
  expand_pair<T, 3>(p, scale, min, out);
}

inline Expand expand_function(DType type) {
  Expand function = dequantize_row;
  with_code_type(type, [&]<DType T>() { function = expand_codes<T>; });
  with_f8_type(type, [&]<DType T>() { function = expand_f8<T>; });
  return function;
}

/// A whole row of any type.
inline void expand_any_row(DType type, const std::byte* row, float* out, int64_t count) {
  const bool direct = with_weight_type(type, [&]<DType T>() {
    for (int64_t i = 0; i < count; i += 32, row += Weight<T>::kBytes32) {
      Float w[4];
      if (count - i >= 32 || T == DType::i4_b32)  // whose last block is padded
        Weight<T>::load32(row, w);
      else
        load_some<T>(row, count - i, w);
      TENON_UNROLL for (int j = 0; j < 4; ++j) _mm256_storeu_ps(out + i + 8 * j, w[j]);
    }
  });
  if (direct) return;
  const Expand expand = expand_function(type);
  const int64_t piece_bytes = dtype_row_stride(type, kExpandPiece);
  for (int64_t i = 0; i < count; i += kExpandPiece, row += piece_bytes)
    expand(type, row, out + i, smaller(kExpandPiece, count - i));
}

}  // namespace
}  // namespace tenon::cpu
