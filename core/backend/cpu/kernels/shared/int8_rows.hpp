// Products of block-quantised weights with int8 activations, for a few activation rows: the decode path. Two blocks
// share a register (one per 128-bit lane), so that unpacking and scaling cost half; several row streams run side by
// side where the processor wants them.
#pragma once

#include "backend/cpu/kernels/shared/int8_quantise.hpp"
#include "backend/cpu/kernels/shared/weights.hpp"
#include "backend/cpu/linear.hpp"

namespace tenon::cpu {
namespace {

constexpr int kInt8RowsMax = 8;

/// The packed form: per row of activations, pairs of blocks as [first halves][second halves] (64 bytes), then the
/// scales d and d * sum(q), each in groups of 8 blocks ordered 0 2 4 6 1 3 5 7 (what lane-wise shuffles pick apart).
struct Int8Rows {
  static constexpr int64_t kPiece = 32;  // blocks per unit of packing work

  explicit Int8Rows(int64_t k)
      : blocks(k / 32), quants(round_up(blocks, 2) * 32), scales(round_up(blocks, 8)), stride(quants + scales * 8) {
    stride = round_up(stride, 64);
  }
  static int64_t scale_index(int64_t block) { return (block & ~int64_t{7}) + (block & 1) * 4 + (block & 7) / 2; }

  static size_t bytes(int64_t m, int64_t k) { return static_cast<size_t>(m * Int8Rows(k).stride); }
  static int64_t units(int64_t m, int64_t k) { return m * ((k / 32 + kPiece - 1) / kPiece); }
  static void pack(const float* x, int64_t ldx, int64_t m, int64_t k, int64_t begin, int64_t end, std::byte* dst);

  int64_t blocks, quants, scales, stride;
};

inline void int8_rows_pack_block(const Int8Rows& form, const float* x, int64_t block, std::byte* row) {
  std::byte* q = row + block / 2 * 64 + (block & 1) * 16;
  float* d = reinterpret_cast<float*>(row + form.quants);
  const int64_t at = Int8Rows::scale_index(block);
  if (block >= form.blocks) {  // padding that completes a pair and the last group of scales
    if (block < form.quants / 32) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm_setzero_si128());
      _mm_storeu_si128(reinterpret_cast<__m128i*>(q + 32), _mm_setzero_si128());
    }
    d[at] = d[form.scales + at] = 0.0f;
    return;
  }
  const Int8Block b = quantise32(x + block * 32);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm256_castsi256_si128(b.q));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q + 32), _mm256_extracti128_si256(b.q, 1));
  d[at] = b.d;
  d[form.scales + at] = b.d * static_cast<float>(b.sum01 + b.sum23);
}

inline void Int8Rows::pack(const float* x, int64_t ldx, int64_t m, int64_t k, int64_t begin, int64_t end,
                           std::byte* dst) {
  const Int8Rows form(k);
  const int64_t pieces = units(m, k) / m;
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t row = unit / pieces, b0 = unit % pieces * kPiece;
    const int64_t b1 = smaller(b0 + kPiece, form.scales);  // the last piece also clears the padding
    for (int64_t b = b0; b < b1; ++b) int8_rows_pack_block(form, x + row * ldx, b, dst + row * form.stride);
  }
}

/// Scales of 8 blocks in the order of Int8Rows; `min` is what each block adds per unit of sum(q).
struct BlockScales {
  Float d, min;
};

/// The float16 at the head of blocks 2 * First to 2 * (First + Pairs) - 1 of a group of 8; zero for the others.
template <int kBlock, int First, int Pairs>
TENON_INLINE __m128i block_heads(const std::byte* p) {
  constexpr auto wanted = [](int pair) { return pair >= First && pair < First + Pairs; };
  __m128i v = _mm_setzero_si128();
  if constexpr (wanted(0)) v = _mm_insert_epi16(v, load_u16(p), 0);
  if constexpr (wanted(1)) v = _mm_insert_epi16(v, load_u16(p + 2 * kBlock), 1);
  if constexpr (wanted(2)) v = _mm_insert_epi16(v, load_u16(p + 4 * kBlock), 2);
  if constexpr (wanted(3)) v = _mm_insert_epi16(v, load_u16(p + 6 * kBlock), 3);
  if constexpr (wanted(0)) v = _mm_insert_epi16(v, load_u16(p + 1 * kBlock), 4);
  if constexpr (wanted(1)) v = _mm_insert_epi16(v, load_u16(p + 3 * kBlock), 5);
  if constexpr (wanted(2)) v = _mm_insert_epi16(v, load_u16(p + 5 * kBlock), 6);
  if constexpr (wanted(3)) v = _mm_insert_epi16(v, load_u16(p + 7 * kBlock), 7);
  return v;
}

/// kHeader: bytes before a block's quants. scales: those of the blocks that block_heads names.
template <DType T>
struct Int8Weight;

template <>
struct Int8Weight<DType::q4_0> {
  static constexpr int kHeader = 2;
  template <int First, int Pairs>
  static TENON_INLINE BlockScales scales(const std::byte* p) {
    const Float d = _mm256_cvtph_ps(block_heads<18, First, Pairs>(p));
    return {d, _mm256_mul_ps(d, _mm256_set1_ps(-8.0f))};
  }
};

template <>
struct Int8Weight<DType::q4_1> {
  static constexpr int kHeader = 4;
  template <int First, int Pairs>
  static TENON_INLINE BlockScales scales(const std::byte* p) {
    if constexpr (Pairs == 4) return scales8(p);
    const __m128i d = block_heads<20, First, Pairs>(p), min = block_heads<20, First, Pairs>(p + 2);
    return {_mm256_cvtph_ps(d), _mm256_cvtph_ps(min)};
  }
  static TENON_INLINE BlockScales scales8(const std::byte* p) {
    const __m128i even = _mm_setr_epi32(load_i32(p), load_i32(p + 40), load_i32(p + 80), load_i32(p + 120));
    const __m128i odd = _mm_setr_epi32(load_i32(p + 20), load_i32(p + 60), load_i32(p + 100), load_i32(p + 140));
    const Int both = _mm256_setr_m128i(even, odd);  // each dword: d in the low half, min in the high half
    const Int low = _mm256_and_si256(both, _mm256_set1_epi32(0xffff)), high = _mm256_srli_epi32(both, 16);
    const Int split = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
    return {_mm256_cvtph_ps(_mm256_castsi256_si128(split)), _mm256_cvtph_ps(_mm256_extracti128_si256(split, 1))};
  }
};

template <>
struct Int8Weight<DType::q8_0> {
  static constexpr int kHeader = 2;
  template <int First, int Pairs>
  static TENON_INLINE BlockScales scales(const std::byte* p) {
    return {_mm256_cvtph_ps(block_heads<34, First, Pairs>(p)), _mm256_setzero_ps()};
  }
};

/// The integer products of a pair of blocks at a and b with the 64 activation bytes at x.
template <class Isa, DType T, int M>
TENON_INLINE void int8_pair(const std::byte* a, const std::byte* b, const std::byte* const x[M], Int out[M]) {
  if constexpr (T == DType::q8_0) {
    const Int w0 = load_pair(a, b), w1 = load_pair(a + 16, b + 16);
    TENON_UNROLL for (int m = 0; m < M; ++m) out[m] = Isa::dot_s8(w0, load_int(x[m]), w1, load_int(x[m] + 32));
  } else {
    const Int q = load_pair(a, b), mask = _mm256_set1_epi8(15);
    const Int low = _mm256_and_si256(q, mask), high = _mm256_and_si256(_mm256_srli_epi16(q, 4), mask);
    TENON_UNROLL for (int m = 0; m < M; ++m) out[m] = Isa::dot_u4(low, load_int(x[m]), high, load_int(x[m] + 32));
  }
}

/// R weight rows at w[r] side by side against M rows of activations at x[m].
template <class Isa, DType T, int R, int M>
struct Int8RowKernel {
  static constexpr int kBlock = Weight<T>::kBytes32;
  static constexpr bool kMin = T != DType::q8_0;

  Float acc[R][M];

  template <int J>
  TENON_INLINE void pair(const std::byte* const w[R], const std::byte* const x[M], const Float scale[R][M]) {
    TENON_UNROLL for (int r = 0; r < R; ++r) {
      const std::byte* const a = w[r] + 2 * J * kBlock + Int8Weight<T>::kHeader;
      const std::byte* xj[M];
      TENON_UNROLL for (int m = 0; m < M; ++m) xj[m] = x[m] + 64 * J;
      Int dot[M];
      int8_pair<Isa, T, M>(a, a + kBlock, xj, dot);
      TENON_UNROLL for (int m = 0; m < M; ++m) {
        const Float s = _mm256_shuffle_ps(scale[r][m], scale[r][m], 0x55 * J);
        acc[r][m] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[m]), s, acc[r][m]);
      }
    }
  }

  /// Pairs [First, First + Pairs) of a group of 8 blocks at which w, x and the scales d stand; d * sum(q) lies `scales`
  /// floats behind d.
  template <int First, int Pairs>
  TENON_INLINE void group(const std::byte* const w[R], const std::byte* const x[M], const float* const d[M],
                          int64_t scales) {
    Float scale[R][M];
    TENON_UNROLL for (int r = 0; r < R; ++r) {
      const BlockScales s = Int8Weight<T>::template scales<First, Pairs>(w[r]);
      TENON_UNROLL for (int m = 0; m < M; ++m) {
        scale[r][m] = _mm256_mul_ps(s.d, _mm256_loadu_ps(d[m]));
        if constexpr (kMin) acc[r][m] = _mm256_fmadd_ps(s.min, _mm256_loadu_ps(d[m] + scales), acc[r][m]);
      }
    }
    if constexpr (First == 0) pair<0>(w, x, scale);
    if constexpr (First == 0 && Pairs > 1) pair<1>(w, x, scale);
    if constexpr (First + Pairs > 2) pair<2>(w, x, scale);
    if constexpr (First + Pairs > 3) pair<3>(w, x, scale);
  }

  TENON_INLINE void run(const std::byte* const rows[R], const LinearCall& c, float* const y[R]) {
    const Int8Rows form(c.shape.k);
    const std::byte *w[R], *x[M];
    const float* d[M];
    TENON_UNROLL for (int r = 0; r < R; ++r) {
      w[r] = rows[r];
      TENON_UNROLL for (int m = 0; m < M; ++m) acc[r][m] = _mm256_setzero_ps();
    }
    TENON_UNROLL for (int m = 0; m < M; ++m) {
      x[m] = c.act + m * form.stride;
      d[m] = reinterpret_cast<const float*>(x[m] + form.quants);
    }
    for (int64_t b = form.blocks; b >= 8; b -= 8) {
      TENON_UNROLL for (int r = 0; r < R; ++r) Isa::template prefetch<8 * kBlock>(w[r]);
      group<0, 4>(w, x, d, form.scales);
      TENON_UNROLL for (int r = 0; r < R; ++r) w[r] += 8 * kBlock;
      TENON_UNROLL for (int m = 0; m < M; ++m) x[m] += 8 * 32, d[m] += 8;
    }
    tail(form, w, x, d);
    TENON_UNROLL for (int r = 0; r < R; ++r) TENON_UNROLL for (int m = 0; m < M; ++m) y[r][m * c.ldy] = sum(acc[r][m]);
  }

  /// The last 0 to 7 blocks.
  TENON_INLINE void tail(const Int8Rows& form, const std::byte* const w[R], const std::byte* const x[M],
                         const float* const d[M]) {
    const int64_t left = form.blocks % 8;
    if (left & 4) group<0, 2>(w, x, d, form.scales);
    if ((left & 6) == 2) group<0, 1>(w, x, d, form.scales);
    if ((left & 6) == 6) group<2, 1>(w, x, d, form.scales);
    if (left & 1) single(form, w, x, d, left / 2);
  }

  /// A last odd block, as pair j of its group beside a block of zeros.
  TENON_INLINE void single(const Int8Rows& form, const std::byte* const w[R], const std::byte* const x[M],
                           const float* const d[M], int64_t j) {
    alignas(32) static constexpr std::byte kZeros[64] = {};
    TENON_UNROLL for (int r = 0; r < R; ++r) {
      const std::byte* const block = w[r] + 2 * j * kBlock;
      const std::byte* xj[M];
      TENON_UNROLL for (int m = 0; m < M; ++m) xj[m] = x[m] + 64 * j;
      Int dot[M];
      int8_pair<Isa, T, M>(block + Int8Weight<T>::kHeader, kZeros, xj, dot);
      TENON_UNROLL for (int m = 0; m < M; ++m) {
        const Float s = _mm256_set1_ps(load_f16(block) * d[m][j]);
        acc[r][m] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[m]), s, acc[r][m]);
        if constexpr (kMin) {
          const Float min = _mm256_setr_ps(minimum(block) * d[m][form.scales + j], 0, 0, 0, 0, 0, 0, 0);
          acc[r][m] = _mm256_add_ps(acc[r][m], min);
        }
      }
    }
  }

  static TENON_INLINE float minimum(const std::byte* block) {
    return T == DType::q4_1 ? load_f16(block + 2) : -8.0f * load_f16(block);
  }
};

/// Columns [begin, end) with M rows of activations, as R streams of consecutive rows and a rest.
template <class Isa, DType T, int R, int M>
void int8_streams(const LinearCall& c) {
  const int64_t stride = row_bytes<T>(c.shape.k), length = (c.n_end - c.n_begin) / R;
  for (int64_t i = 0; i < length; ++i) {
    const std::byte* w[R];
    float* y[R];
    for (int r = 0; r < R; ++r) {
      const int64_t n = c.n_begin + r * length + i;
      w[r] = c.w + n * stride;
      y[r] = c.y + n;
    }
    Int8RowKernel<Isa, T, R, M>().run(w, c, y);
  }
  for (int64_t n = c.n_begin + R * length; n < c.n_end; ++n) {
    const std::byte* w[1] = {c.w + n * stride};
    float* y[1] = {c.y + n};
    Int8RowKernel<Isa, T, 1, M>().run(w, c, y);
  }
}

template <class Isa>
void run_int8_rows(const LinearCall& c) {
  with_block_type(c.shape.w, [&]<DType T>() {
    with_count<kInt8RowsMax>(c.shape.m, [&](auto m) {
      constexpr int kM = decltype(m)::value;
      int8_streams<Isa, T, kM <= 2 ? Isa::kStreams : 1, kM>(c);
    });
  });
}

}  // namespace
}  // namespace tenon::cpu
