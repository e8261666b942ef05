// Codes and scales (codes.hpp) of the formats with 256 weights a block, and the choice among all types.
#pragma once

#include "backend/cpu/kernels/shared/codes.hpp"

namespace tenon::cpu {
namespace {

/// The same 16 bytes in both lanes, shifted right by `a` bits in the first and by `b` in the second. Bits of the
/// neighbour byte come in on top: to be masked.
TENON_INLINE Int shifted_lanes(const std::byte* p, int a, int b) {
  return _mm256_srlv_epi64(_mm256_broadcastsi128_si256(load_half(p)), _mm256_setr_epi64x(a, a, b, b));
}

/// Moves bit (or bit group) `from` of each byte to `to` and clears all others but those of `mask`, which is in place.
template <int kFrom, int kTo>
TENON_INLINE Int moved_bits(Int v, int mask) {
  if constexpr (kFrom > kTo) v = _mm256_srli_epi16(v, kFrom - kTo);
  if constexpr (kFrom < kTo) v = _mm256_slli_epi16(v, kTo - kFrom);
  return _mm256_and_si256(v, _mm256_set1_epi8(static_cast<char>(mask)));
}

/// dwords 0..7 in the order of blocks.
TENON_INLINE Int block_order(Int v) {
  return _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}

/// d, dmin and 8 scales and minima of 6 bits in 12 bytes at p + 4: the first four of each lie in the low 6 bits of
/// bytes 0-3 and 4-7; the last four have their low nibbles in bytes 8-11, their top bits in the top of bytes 0-3, 4-7.
TENON_INLINE BlockScales scales_6bit(const std::byte* p) {
  const __m128i stored = load_half(p);  // d and dmin in front; below: 8 scales, then 8 minima in the order of blocks
  const __m128i low = _mm_shuffle_epi8(stored, _mm_setr_epi8(4, 6, 12, 14, 5, 7, 13, 15, 8, 10, 12, 14, 9, 11, 13, 15));
  const __m128i top = _mm_shuffle_epi8(stored, _mm_setr_epi8(-1, -1, 4, 6, -1, -1, 5, 7, -1, -1, 8, 10, -1, -1, 9, 11));
  const __m128i in_place = _mm_setr_epi8(63, 63, 15, 15, 63, 63, 15, 15, 63, 63, 0, 0, 63, 63, 0, 0);
  const __m128i shifted = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 15, 0, 0, 15, 15);
  const __m128i six = _mm_or_si128(_mm_and_si128(low, in_place),
                                   _mm_or_si128(_mm_and_si128(_mm_srli_epi16(low, 4), shifted),
                                                _mm_and_si128(_mm_srli_epi16(top, 2), _mm_set1_epi8(0x30))));
  const Float scale = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(six));
  const Float min = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(six, 8)));
  const __m128 d = _mm_cvtph_ps(stored);
  const Float minus_dmin = _mm256_broadcastss_ps(_mm_xor_ps(_mm_movehdup_ps(d), _mm_set1_ps(-0.0f)));
  return {_mm256_mul_ps(scale, _mm256_broadcastss_ps(d)), _mm256_mul_ps(min, minus_dmin)};
}

/// Nibbles of pair J where 32 bytes hold the 32 low nibbles of one block, then the 32 high ones of the next.
TENON_INLINE void split_nibbles(const std::byte* p, Int w[2]) {
  TENON_UNROLL for (int half = 0; half < 2; ++half) w[half] =
      _mm256_and_si256(shifted_lanes(p + 16 * half, 0, 4), _mm256_set1_epi8(15));
}

template <>
struct Codes<DType::q4_k> : SuperTraits<144, 0, true, false> {
  template <int First, int Pairs>
  static TENON_INLINE BlockScales scales(const std::byte* p) {
    return scales_6bit(p);
  }
  template <int J>
  static TENON_INLINE void codes(const std::byte* p, Int w[2]) {
    split_nibbles(p + 16 + 32 * J, w);
  }
};

template <>
struct Codes<DType::q5_k> : SuperTraits<176, 16, true, false> {
  template <int First, int Pairs>
  static TENON_INLINE BlockScales scales(const std::byte* p) {
    const BlockScales s = scales_6bit(p);
    return {s.d, _mm256_fmadd_ps(s.d, _mm256_set1_ps(16.0f), s.min)};
  }
  /// The fifth bit of block b is bit b of byte i % 32.
  template <int J>
  static TENON_INLINE void codes(const std::byte* p, Int w[2]) {
    split_nibbles(p + 48 + 32 * J, w);
    TENON_UNROLL for (int half = 0; half < 2; ++half) w[half] =
        _mm256_or_si256(w[half], moved_bits<2 * J, 4>(shifted_lanes(p + 16 + 16 * half, 0, 1), 16));
  }
};

/// 2-bit planes: 32 bytes hold four blocks of 32.
template <int J>
TENON_INLINE void two_bits(const std::byte* p, Int w[2]) {
  TENON_UNROLL for (int half = 0; half < 2; ++half) w[half] =
      moved_bits<J % 2 * 4, 0>(shifted_lanes(p + J / 2 * 32 + 16 * half, 0, 2), 3);
}

template <>
struct Codes<DType::q6_k> : SuperTraits<210, 32, false, true> {
  static TENON_INLINE HalfScales scales(const std::byte* p) {
    const Int scale = block_order(_mm256_cvtepi8_epi16(load_half(p + 192)));
    return {scale, _mm256_setzero_si256(), load_f16(p + 208), 0.0f};
  }
  /// 64 bytes hold the low nibbles of two blocks, then of two more the high ones; top pairs as in two_bits.
  template <int J>
  static TENON_INLINE void codes(const std::byte* p, Int w[2]) {
    TENON_UNROLL for (int half = 0; half < 2; ++half) {
      const std::byte* const q = p + J / 2 * 64 + 16 * half;
      const Int low = moved_bits<J % 2 * 4, 0>(load_pair(q, q + 32), 15);
      const Int top = moved_bits<J % 2 * 4, 4>(shifted_lanes(p + 128 + J / 2 * 32 + 16 * half, 0, 2), 0x30);
      w[half] = _mm256_or_si256(low, top);
    }
  }
};

template <>
struct Codes<DType::q3_k> : SuperTraits<110, 8, false, true> {
  /// 16 scales of 6 bits, 32 added: low nibbles in 8 bytes, then the top pairs in 4.
  static TENON_INLINE HalfScales scales(const std::byte* p) {
    const __m128i low8 = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 96));
    const __m128i low = _mm_and_si128(_mm_unpacklo_epi64(low8, _mm_srli_epi16(low8, 4)), _mm_set1_epi8(15));
    const __m128i top = _mm_srlv_epi32(_mm_set1_epi32(load_i32(p + 104)), _mm_setr_epi32(0, 2, 4, 6));
    const __m128i six = _mm_or_si128(low, _mm_slli_epi16(_mm_and_si128(top, _mm_set1_epi8(3)), 4));
    const Int scale = block_order(_mm256_cvtepi8_epi16(_mm_sub_epi8(six, _mm_set1_epi8(32))));
    return {scale, _mm256_setzero_si256(), load_f16(p + 108), 0.0f};
  }
  /// Two bits, a third as bit `block` of byte i % 32, and 4 added: the offset of 8 has a start word (int8_panel.hpp).
  template <int J>
  static TENON_INLINE void codes(const std::byte* p, Int w[2]) {
    two_bits<J>(p + 32, w);
    TENON_UNROLL for (int half = 0; half < 2; ++half) {
      const Int third = moved_bits<2 * J, 2>(shifted_lanes(p + 16 * half, 0, 1), 4);
      w[half] = _mm256_add_epi8(_mm256_or_si256(w[half], third), _mm256_set1_epi8(4));
    }
  }
};

template <>
struct Codes<DType::q2_k> : SuperTraits<84, 0, true, true> {
  static TENON_INLINE HalfScales scales(const std::byte* p) {
    const __m128i both = load_half(p), mask = _mm_set1_epi8(15);
    const __m128i scale = _mm_and_si128(both, mask), min = _mm_and_si128(_mm_srli_epi16(both, 4), mask);
    return {block_order(_mm256_cvtepi8_epi16(scale)), block_order(_mm256_cvtepi8_epi16(min)), load_f16(p + 80),
            -load_f16(p + 82)};
  }
  template <int J>
  static TENON_INLINE void codes(const std::byte* p, Int w[2]) {
    two_bits<J>(p + 16, w);
  }
};

template <>
struct Codes<DType::iq4_xs> : SuperTraits<136, 0, false, false, true> {
  /// 6-bit scales, 32 added: low nibbles in the dword at 4, top pairs in the word at 2.
  template <int First, int Pairs>
  static TENON_INLINE BlockScales scales(const std::byte* p) {
    const Int low =
        _mm256_srlv_epi32(_mm256_set1_epi32(load_i32(p + 4)), _mm256_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28));
    const Int top = _mm256_srlv_epi32(_mm256_set1_epi32(load_u16(p + 2)), _mm256_setr_epi32(0, 4, 8, 12, 2, 6, 10, 14));
    const Int six = _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi32(15)),
                                    _mm256_slli_epi32(_mm256_and_si256(top, _mm256_set1_epi32(3)), 4));
    const Float scale = _mm256_cvtepi32_ps(_mm256_sub_epi32(six, _mm256_set1_epi32(32)));
    return {_mm256_mul_ps(scale, _mm256_set1_ps(load_f16(p))), _mm256_setzero_ps()};
  }
  template <int J>
  static TENON_INLINE void codes(const std::byte* p, Int w[2]) {
    table_codes(iq4_levels(), p + 8 + 32 * J, p + 24 + 32 * J, w);
  }
};

/// The codes of pair J of the group of 8 blocks at p.
template <DType T, int J>
TENON_INLINE void pair_codes(const std::byte* p, Int w[2]) {
  if constexpr (Codes<T>::kSuper)
    Codes<T>::template codes<J>(p, w);
  else
    Codes<T>::codes(p + 2 * J * Codes<T>::kBlock, p + (2 * J + 1) * Codes<T>::kBlock, w);
}

/// Calls fn.template operator()<T>() for a type that has codes; false for any other.
template <typename Fn>
TENON_INLINE bool with_code_type(DType type, Fn&& fn) {
  const auto try_each = [&]<DType... T>() {
    return ((type == T ? (fn.template operator()<T>(), true) : false) || ...);
  };
  return try_each
      .template operator()<DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q8_0, DType::q2_k, DType::q3_k,
                           DType::q4_k, DType::q5_k, DType::q6_k, DType::iq4_nl, DType::iq4_xs, DType::mxfp4>();
}

}  // namespace
}  // namespace tenon::cpu
