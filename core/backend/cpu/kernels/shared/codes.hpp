// Block-quantised weights as what the integer kernels multiply: byte codes and scales, so that
//   weight = d * (code - kOffset) + min            or, with scales per 16,  d * scale * (code - kOffset) + dmin * min.
// The unit is a group of 8 blocks of 32 weights. Pair J of a group is blocks 2J and 2J + 1, side by side in the lanes
// of a register; what belongs to a block lies in the order 0 2 4 6 1 3 5 7, which lane-wise shuffles pick apart.
// Here: what the formats share, and those of 32 weights a block. Those of 256: super_codes.hpp. Written from the block
// layouts in core/tensor's reference dequantiser.
#pragma once

#include "backend/cpu/kernels/shared/simd.hpp"
#include "tensor/dtype.hpp"

namespace tenon::cpu {
namespace {

/// Scales of 8 blocks; zero `min` where the type has none.
struct BlockScales {
  Float d, min;
};

/// Scales per 16 weights: int16 pairs (first half, second half) of 8 blocks, in units of d and dmin.
struct HalfScales {
  Int scale, min;
  float d, dmin;
};

/// What a type's Codes say about it. kSigned: codes are int8, else uint8 below 64. kSuper: stored in blocks of 256.
template <int kStored, int kCodeOffset, bool kHasMin, bool kIsSigned, bool kIsSuper, bool kHasHalves>
struct CodeTraits {
  static constexpr int kBlock = kStored, kGroup = kIsSuper ? kStored : 8 * kStored;
  static constexpr int kOffset = kCodeOffset;
  static constexpr bool kMin = kHasMin, kSigned = kIsSigned, kSuper = kIsSuper, kHalves = kHasHalves;
  static int64_t row_bytes(int64_t k) { return k / (kSuper ? 256 : 32) * kBlock; }
};
template <int kStored, int kCodeOffset, bool kHasMin, bool kIsSigned = false>
using SmallTraits = CodeTraits<kStored, kCodeOffset, kHasMin, kIsSigned, false, false>;
template <int kStored, int kCodeOffset, bool kHasMin, bool kHasHalves, bool kIsSigned = false>
using SuperTraits = CodeTraits<kStored, kCodeOffset, kHasMin, kIsSigned, true, kHasHalves>;

/// codes: small blocks a and b, or pair J of the super-block p: w[0] is [first 16 of one | first 16 of the other].
/// scales: of the blocks of pairs First to First + Pairs - 1; super-blocks give all.
template <DType T>
struct Codes;

/// A group of kGroup bytes of which only `bytes` are stored at p: copied to `to`, the rest zero.
template <int kGroup>
TENON_INLINE const std::byte* pad_group(std::byte* to, const std::byte* p, int64_t bytes) {
  __builtin_memcpy(to, p, static_cast<size_t>(bytes));
  __builtin_memset(to + bytes, 0, static_cast<size_t>(kGroup - bytes));
  return to;
}

/// Bytes [0, kBytes) (1 or 2) of blocks 2 * First to 2 * (First + Pairs) - 1 of a group of 8; zero for the others.
template <int kBlock, int First, int Pairs, int kBytes = 2>
TENON_INLINE __m128i block_heads(const std::byte* p) {
  constexpr auto wanted = [](int pair) { return pair >= First && pair < First + Pairs; };
  const auto at = [p](int block) {
    return kBytes == 2 ? load_u16(p + block * kBlock) : static_cast<uint16_t>(p[block * kBlock]);
  };
  __m128i v = _mm_setzero_si128();
  if constexpr (wanted(0)) v = _mm_insert_epi16(v, at(0), 0);
  if constexpr (wanted(1)) v = _mm_insert_epi16(v, at(2), 1);
  if constexpr (wanted(2)) v = _mm_insert_epi16(v, at(4), 2);
  if constexpr (wanted(3)) v = _mm_insert_epi16(v, at(6), 3);
  if constexpr (wanted(0)) v = _mm_insert_epi16(v, at(1), 4);
  if constexpr (wanted(1)) v = _mm_insert_epi16(v, at(3), 5);
  if constexpr (wanted(2)) v = _mm_insert_epi16(v, at(5), 6);
  if constexpr (wanted(3)) v = _mm_insert_epi16(v, at(7), 7);
  return v;
}

/// float16 d at the head of each block.
template <int kBlock, int First, int Pairs>
TENON_INLINE BlockScales scales_d(const std::byte* p) {
  return {_mm256_cvtph_ps(block_heads<kBlock, First, Pairs>(p)), _mm256_setzero_ps()};
}

/// float16 d and min at the head of each block.
template <int kBlock, int First, int Pairs>
TENON_INLINE BlockScales scales_d_min(const std::byte* p) {
  if constexpr (Pairs < 4) {
    const __m128i d = block_heads<kBlock, First, Pairs>(p), min = block_heads<kBlock, First, Pairs>(p + 2);
    return {_mm256_cvtph_ps(d), _mm256_cvtph_ps(min)};
  }
  const auto at = [p](int block) { return load_i32(p + block * kBlock); };
  const __m128i even = _mm_setr_epi32(at(0), at(2), at(4), at(6)), odd = _mm_setr_epi32(at(1), at(3), at(5), at(7));
  const Int both = _mm256_setr_m128i(even, odd);  // each dword: d in the low half, min in the high half
  const Int low = _mm256_and_si256(both, _mm256_set1_epi32(0xffff)), high = _mm256_srli_epi32(both, 16);
  const Int split = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(split)), _mm256_cvtph_ps(_mm256_extracti128_si256(split, 1))};
}

/// The nibbles of 16 bytes at a and at b: w[0] the low ones, w[1] the high ones.
TENON_INLINE void nibble_codes(const std::byte* a, const std::byte* b, Int w[2]) {
  const Int q = load_pair(a, b), mask = _mm256_set1_epi8(15);
  w[0] = _mm256_and_si256(q, mask);
  w[1] = _mm256_and_si256(_mm256_srli_epi16(q, 4), mask);
}

/// Nibbles as indices of a table of bytes.
TENON_INLINE void table_codes(Int table, const std::byte* a, const std::byte* b, Int w[2]) {
  nibble_codes(a, b, w);
  w[0] = _mm256_shuffle_epi8(table, w[0]);
  w[1] = _mm256_shuffle_epi8(table, w[1]);
}

/// The levels of IQ4 and of FP4 E2M1 (doubled, 16 added): tables of the formats themselves.
TENON_INLINE Int iq4_levels() {
  return _mm256_broadcastsi128_si256(
      _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113));
}
TENON_INLINE Int fp4_levels() {
  return _mm256_broadcastsi128_si256(_mm_setr_epi8(16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4));
}

/// Adds 16 to the codes of two blocks whose fifth bits are the dwords at a and b, bit i for weight i.
TENON_INLINE void add_fifth_bits(const std::byte* a, const std::byte* b, Int w[2]) {
  const Int bits = _mm256_setr_m128i(_mm_set1_epi32(load_i32(a)), _mm_set1_epi32(load_i32(b)));
  const Int one_each = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201ull));
  const Int low_bytes = _mm256_broadcastsi128_si256(_mm_setr_epi32(0, 0, 0x01010101, 0x01010101));
  TENON_UNROLL for (int half = 0; half < 2; ++half) {
    const Int from = _mm256_add_epi8(low_bytes, _mm256_set1_epi8(static_cast<char>(2 * half)));
    const Int picked = _mm256_and_si256(_mm256_shuffle_epi8(bits, from), one_each);
    const Int fifth = _mm256_and_si256(_mm256_cmpeq_epi8(picked, one_each), _mm256_set1_epi8(16));
    w[half] = _mm256_or_si256(w[half], fifth);
  }
}

template <>
struct Codes<DType::q4_0> : SmallTraits<18, 8, false> {
  template <int First, int Pairs>
  static TENON_INLINE BlockScales scales(const std::byte* p) {
    return scales_d<kBlock, First, Pairs>(p);
  }
  static TENON_INLINE void codes(const std::byte* a, const std::byte* b, Int w[2]) { nibble_codes(a + 2, b + 2, w); }
};

template <>
struct Codes<DType::q4_1> : SmallTraits<20, 0, true> {
  template <int First, int Pairs>
  static TENON_INLINE BlockScales scales(const std::byte* p) {
    return scales_d_min<kBlock, First, Pairs>(p);
  }
  static TENON_INLINE void codes(const std::byte* a, const std::byte* b, Int w[2]) { nibble_codes(a + 4, b + 4, w); }
};

template <>
struct Codes<DType::q5_0> : SmallTraits<22, 16, false> {
  template <int First, int Pairs>
  static TENON_INLINE BlockScales scales(const std::byte* p) {
    return scales_d<kBlock, First, Pairs>(p);
  }
  static TENON_INLINE void codes(const std::byte* a, const std::byte* b, Int w[2]) {
    nibble_codes(a + 6, b + 6, w);
    add_fifth_bits(a + 2, b + 2, w);
  }
};

template <>
struct Codes<DType::q5_1> : SmallTraits<24, 16, true> {
  /// The minimum of d * (code - 16) + min, where the format has d * code + min.
  template <int First, int Pairs>
  static TENON_INLINE BlockScales scales(const std::byte* p) {
    const BlockScales s = scales_d_min<kBlock, First, Pairs>(p);
    return {s.d, _mm256_fmadd_ps(s.d, _mm256_set1_ps(16.0f), s.min)};
  }
  static TENON_INLINE void codes(const std::byte* a, const std::byte* b, Int w[2]) {
    nibble_codes(a + 8, b + 8, w);
    add_fifth_bits(a + 4, b + 4, w);
  }
};

template <>
struct Codes<DType::q8_0> : SmallTraits<34, 0, false, true> {
  template <int First, int Pairs>
  static TENON_INLINE BlockScales scales(const std::byte* p) {
    return scales_d<kBlock, First, Pairs>(p);
  }
  static TENON_INLINE void codes(const std::byte* a, const std::byte* b, Int w[2]) {
    w[0] = load_pair(a + 2, b + 2);
    w[1] = load_pair(a + 18, b + 18);
  }
};

template <>
struct Codes<DType::iq4_nl> : SmallTraits<18, 0, false, true> {
  template <int First, int Pairs>
  static TENON_INLINE BlockScales scales(const std::byte* p) {
    return scales_d<kBlock, First, Pairs>(p);
  }
  static TENON_INLINE void codes(const std::byte* a, const std::byte* b, Int w[2]) {
    table_codes(iq4_levels(), a + 2, b + 2, w);
  }
};

template <>
struct Codes<DType::mxfp4> : SmallTraits<17, 16, false> {
  /// Powers of two, halved because the levels are doubled: exponents 0 and 1 give subnormal numbers.
  template <int First, int Pairs>
  static TENON_INLINE BlockScales scales(const std::byte* p) {
    const Int e = _mm256_cvtepu16_epi32(block_heads<kBlock, First, Pairs, 1>(p));
    const Int normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    const Int small = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
    const Int is_small = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e);
    return {_mm256_castsi256_ps(_mm256_blendv_epi8(normal, small, is_small)), _mm256_setzero_ps()};
  }
  static TENON_INLINE void codes(const std::byte* a, const std::byte* b, Int w[2]) {
    table_codes(fp4_levels(), a + 1, b + 1, w);
  }
};

}  // namespace
}  // namespace tenon::cpu
