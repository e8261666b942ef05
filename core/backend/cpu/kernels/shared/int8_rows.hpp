// Products of block-quantised weights with int8 activations, for a few activation rows: the decode path. Two blocks
// share a register (one per 128-bit lane), so that unpacking and scaling cost half; several row streams run side by
// side where the processor wants them.
#pragma once

#include "backend/cpu/kernels/shared/int8_quantise.hpp"
#include "backend/cpu/kernels/shared/super_codes.hpp"
#include "backend/cpu/linear.hpp"

namespace tenon::cpu {
namespace {

/// The packed form: per row of activations, pairs of blocks as [first halves][second halves] (64 bytes), then per block
/// the scale d, d * sum(q) and the sums of q over its halves (int16), each in groups of 8 blocks in the order of
/// codes.hpp.
struct Int8Rows {
  static constexpr int64_t kPiece = 32;  // blocks per unit of packing work

  explicit Int8Rows(int64_t k)
      : blocks(k / 32), scales(round_up(blocks, 8)), quants(scales * 32), stride(round_up(quants + scales * 12, 64)) {}
  static int64_t scale_index(int64_t block) { return (block & ~int64_t{7}) + (block & 1) * 4 + (block & 7) / 2; }

  static size_t bytes(int64_t m, int64_t k) { return static_cast<size_t>(m * Int8Rows(k).stride); }
  static int64_t units(int64_t m, int64_t k) { return m * ((k / 32 + kPiece - 1) / kPiece); }
  static void pack(const float* x, int64_t ldx, int64_t m, int64_t k, int64_t begin, int64_t end, std::byte* dst);

  int64_t blocks, scales, quants, stride;  // scales: blocks with padding; quants, stride: bytes
};

inline void int8_rows_pack_block(const Int8Rows& form, const float* x, int64_t block, std::byte* row) {
  std::byte* q = row + block / 2 * 64 + (block & 1) * 16;
  float* d = reinterpret_cast<float*>(row + form.quants);
  const int64_t at = Int8Rows::scale_index(block);
  if (block >= form.blocks) {  // padding that completes the last group
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm_setzero_si128());
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q + 32), _mm_setzero_si128());
    d[at] = d[form.scales + at] = d[2 * form.scales + at] = 0.0f;
    return;
  }
  const Int8Block b = quantise32(x + block * 32);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm256_castsi256_si128(b.q));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q + 32), _mm256_extracti128_si256(b.q, 1));
  d[at] = b.d;
  d[form.scales + at] = b.d * static_cast<float>(b.all());
  const int16_t halves[2] = {static_cast<int16_t>(b.half(0)), static_cast<int16_t>(b.half(1))};
  __builtin_memcpy(&d[2 * form.scales + at], halves, sizeof halves);
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

/// Products of pair J of codes with the 64 activation bytes at x, 4 (or with scales per 16: 8) k per dword.
template <class Isa, DType T, int J>
TENON_INLINE Int int8_dot(const Int w[2], Int scale, const std::byte* x) {
  const Int x0 = load_int(x), x1 = load_int(x + 32);
  if constexpr (Codes<T>::kHalves) {  // at most 2 * 63 * 127 per int16
    const Int first = _mm256_shuffle_epi8(scale, _mm256_set1_epi16(0x0100 + 0x0404 * J));
    const Int second = _mm256_shuffle_epi8(scale, _mm256_set1_epi16(0x0302 + 0x0404 * J));
    return _mm256_add_epi32(_mm256_madd_epi16(_mm256_maddubs_epi16(w[0], x0), first),
                            _mm256_madd_epi16(_mm256_maddubs_epi16(w[1], x1), second));
  } else if constexpr (Codes<T>::kSigned) {
    return Isa::dot_s8(w[0], x0, w[1], x1);
  } else {
    return Isa::dot_u8(w[0], x0, w[1], x1);
  }
}

/// R weight rows at w[r] side by side against M rows of activations at x[m].
template <class Isa, DType T, int R, int M>
struct Int8RowKernel {
  using C = Codes<T>;
  static constexpr int kBlock = C::kBlock;
  static constexpr bool kMin = C::kMin || C::kOffset != 0;

  Float acc[R][M];

  /// What a block adds per unit of d * sum(q): the minimum and what the offset of the codes comes to.
  static TENON_INLINE Float minimum(BlockScales s) {
    if constexpr (C::kOffset == 0) return s.min;
    const Float offset = _mm256_set1_ps(-static_cast<float>(C::kOffset));
    return C::kMin ? _mm256_fmadd_ps(s.d, offset, s.min) : _mm256_mul_ps(s.d, offset);
  }

  template <int J>
  TENON_INLINE void pair(const std::byte* const w[R], const std::byte* const x[M], const Float scale[R][M],
                         const Int halves[R]) {
    TENON_UNROLL for (int r = 0; r < R; ++r) {
      Int codes[2];
      pair_codes<T, J>(w[r], codes);
      TENON_UNROLL for (int m = 0; m < M; ++m) {
        const Int dot = int8_dot<Isa, T, J>(codes, halves[r], x[m] + 64 * J);
        const Float s = _mm256_shuffle_ps(scale[r][m], scale[r][m], 0x55 * J);
        acc[r][m] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), s, acc[r][m]);
      }
    }
  }

  /// The scales of row r's group, and what minima and offsets add. Behind d lie `stride` floats of d * sum(q), then the
  /// sums of halves.
  template <int First, int Pairs>
  TENON_INLINE void scales(const std::byte* w, int r, const float* const d[M], int64_t stride, Float scale[M],
                           Int& halves) {
    if constexpr (C::kHalves) {
      const HalfScales s = C::scales(w);
      const Int min = C::kMin ? s.min : s.scale;
      const float unit = C::kMin ? s.dmin : s.d * -static_cast<float>(C::kOffset);
      halves = s.scale;
      TENON_UNROLL for (int m = 0; m < M; ++m) {
        const Float dx = _mm256_loadu_ps(d[m]);
        const Float sums = _mm256_cvtepi32_ps(_mm256_madd_epi16(min, load_int(d[m] + 2 * stride)));
        scale[m] = _mm256_mul_ps(_mm256_set1_ps(s.d), dx);
        acc[r][m] = _mm256_fmadd_ps(sums, _mm256_mul_ps(_mm256_set1_ps(unit), dx), acc[r][m]);
      }
    } else {
      const BlockScales s = C::template scales<First, Pairs>(w);
      const Float min = minimum(s);
      TENON_UNROLL for (int m = 0; m < M; ++m) {
        scale[m] = _mm256_mul_ps(s.d, _mm256_loadu_ps(d[m]));
        if constexpr (kMin) acc[r][m] = _mm256_fmadd_ps(min, _mm256_loadu_ps(d[m] + stride), acc[r][m]);
      }
    }
  }

  /// Pairs [First, First + Pairs) of a group of 8 blocks at which w, x and the scales d stand.
  template <int First, int Pairs>
  TENON_INLINE void group(const std::byte* const w[R], const std::byte* const x[M], const float* const d[M],
                          int64_t stride) {
    Float scale[R][M];
    Int halves[R];
    TENON_UNROLL for (int r = 0; r < R; ++r) scales<First, Pairs>(w[r], r, d, stride, scale[r], halves[r]);
    if constexpr (First == 0) pair<0>(w, x, scale, halves);
    if constexpr (First == 0 && Pairs > 1) pair<1>(w, x, scale, halves);
    if constexpr (First + Pairs > 2) pair<2>(w, x, scale, halves);
    if constexpr (First + Pairs > 3) pair<3>(w, x, scale, halves);
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
      TENON_UNROLL for (int r = 0; r < R; ++r) Isa::template prefetch<C::kGroup>(w[r]);
      group<0, 4>(w, x, d, form.scales);
      TENON_UNROLL for (int r = 0; r < R; ++r) w[r] += C::kGroup;
      TENON_UNROLL for (int m = 0; m < M; ++m) x[m] += 8 * 32, d[m] += 8;
    }
    if constexpr (!C::kSuper) tail(form.blocks % 8, w, x, d, form.scales);
    TENON_UNROLL for (int r = 0; r < R; ++r) TENON_UNROLL for (int m = 0; m < M; ++m) y[r][m * c.ldy] = sum(acc[r][m]);
  }

  /// The last 0 to 7 blocks; an odd number of them stands beside zeros.
  TENON_INLINE void tail(int64_t left, const std::byte* const w[R], const std::byte* const x[M],
                         const float* const d[M], int64_t stride) {
    if (left & 1) {
      std::byte padded[R][C::kGroup];
      const std::byte* rows[R];
      TENON_UNROLL for (int r = 0; r < R; ++r) rows[r] = pad_group<C::kGroup>(padded[r], w[r], left * kBlock);
      group<0, 4>(rows, x, d, stride);
      return;
    }
    if (left & 4) group<0, 2>(w, x, d, stride);
    if ((left & 6) == 2) group<0, 1>(w, x, d, stride);
    if ((left & 6) == 6) group<2, 1>(w, x, d, stride);
  }
};

/// Columns [begin, end) with M rows of activations, as R streams of consecutive rows and a rest.
template <class Isa, DType T, int R, int M>
void int8_streams(const LinearCall& c) {
  const int64_t stride = Codes<T>::row_bytes(c.shape.k), length = (c.n_end - c.n_begin) / R;
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
  with_code_type(c.shape.w, [&]<DType T>() {
    with_count<Isa::kInt8Rows>(c.shape.m, [&](auto m) {
      constexpr int kM = decltype(m)::value;
      int8_streams<Isa, T, kM <= 2 ? Isa::kStreams : 1, kM>(c);
    });
  });
}

}  // namespace
}  // namespace tenon::cpu
