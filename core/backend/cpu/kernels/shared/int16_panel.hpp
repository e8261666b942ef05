// Products of 16-bit float weights with many activation rows in integer arithmetic: both sides become 14-bit integers
// with one float32 scale per 32 values, which is twice as fast as float32 and rounds to about 1.6e-4 of a value
// (bfloat16 activations would lose 1.1e-3). A panel of weight columns is converted into L1 once, in steps of 2 k per
// column, then every tile of at most 6 activation rows passes over it.
#pragma once

#include "backend/cpu/kernels/shared/panel_sums.hpp"
#include "backend/cpu/kernels/shared/weights.hpp"
#include "backend/cpu/linear.hpp"

namespace tenon::cpu {
namespace {

constexpr float kInt16Top = 8191.0f;  // 32 * 8191^2 < 2^31: the sum of a block's products fits

/// 32 values as q * d; q in two vectors of 16, in order.
struct Int16Block {
  Int q[2];
  float d;
};

TENON_INLINE Int16Block round16(const Float v[4]) {
  const Float sign = _mm256_set1_ps(-0.0f);
  Float top = _mm256_setzero_ps();
  TENON_UNROLL for (int i = 0; i < 4; ++i) top = _mm256_max_ps(top, _mm256_andnot_ps(sign, v[i]));
  const float max = largest(top);
  // Below the limit the quotient would overflow: such a block is zero beside any other.
  const Float scale = _mm256_set1_ps(max > 1e-33f ? kInt16Top / max : 0.0f);
  Int q[4];
  TENON_UNROLL for (int i = 0; i < 4; ++i) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], scale));
  return {{_mm256_permute4x64_epi64(_mm256_packs_epi32(q[0], q[1]), 0xd8),
           _mm256_permute4x64_epi64(_mm256_packs_epi32(q[2], q[3]), 0xd8)},
          max > 1e-33f ? max / kInt16Top : 0.0f};
}

/// The packed activations: [k / 2][rows] dwords of 2 int16 tile after tile, then the scales, [k / 32][rows].
struct Int16Tiles {
  static constexpr int64_t kPiece = 16;  // blocks per unit of packing work

  static size_t bytes(int64_t m, int64_t k) { return static_cast<size_t>(round_up(2 * m * k + 4 * m * (k / 32), 64)); }
  static int64_t pieces(int64_t k) { return (k / 32 + kPiece - 1) / kPiece; }
  static int64_t units(int64_t m, int64_t k) { return Tiles(m).count * pieces(k); }
  static void pack(const float* x, int64_t ldx, int64_t m, int64_t k, int64_t begin, int64_t end, std::byte* dst) {
    const Tiles tiles(m);
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t t = unit / pieces(k), b0 = unit % pieces(k) * kPiece, b1 = smaller(b0 + kPiece, k / 32);
      const int64_t rows = tiles.rows(t), first = tiles.first(t);
      int32_t* const quants = reinterpret_cast<int32_t*>(dst) + first * (k / 2);
      float* const d = reinterpret_cast<float*>(dst + 2 * m * k) + first * (k / 32);
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t b = b0; b < b1; ++b)
          pack_block(x + (first + r) * ldx + b * 32, quants + b * 16 * rows + r, d + b * rows + r, rows);
    }
  }
  static void pack_block(const float* x, int32_t* quants, float* d, int64_t rows) {
    Float v[4];
    TENON_UNROLL for (int i = 0; i < 4; ++i) v[i] = _mm256_loadu_ps(x + 8 * i);
    const Int16Block b = round16(v);
    alignas(32) int32_t q[16];
    _mm256_store_si256(reinterpret_cast<Int*>(q), b.q[0]);
    _mm256_store_si256(reinterpret_cast<Int*>(q + 8), b.q[1]);
    for (int64_t i = 0; i < 16; ++i) quants[i * rows] = q[i];
    *d = b.d;
  }
};

template <class Isa>
struct Int16Panel {
  static constexpr int kColumns = 2 * Isa::kWide;
  static constexpr int64_t kBlocks = 256 / kColumns;  // 16 KiB: half of the smallest L1
  alignas(64) int32_t quants[kBlocks * 16 * kColumns];
  alignas(64) float d[kBlocks * kColumns];
};

/// Block b of 8 columns, at `offset` bytes of their rows, into the panel from `column` on.
template <class Isa, DType T>
TENON_INLINE void int16_fill_block(const std::byte* const rows[8], int64_t offset, Int16Panel<Isa>& panel, int64_t b,
                                   int column) {
  constexpr int kColumns = 2 * Isa::kWide;
  Int q[2][8];
  alignas(32) float d[8];
  TENON_UNROLL for (int r = 0; r < 8; ++r) {
    Float w[4];
    Weight<T>::load32(rows[r] + offset, w);
    const Int16Block block = round16(w);
    q[0][r] = block.q[0];
    q[1][r] = block.q[1];
    d[r] = block.d;
  }
  _mm256_store_ps(panel.d + b * kColumns + column, _mm256_load_ps(d));
  TENON_UNROLL for (int half = 0; half < 2; ++half) {
    transpose8(q[half]);
    TENON_UNROLL for (int i = 0; i < 8; ++i)
        store_int(panel.quants + (b * 16 + half * 8 + i) * kColumns + column, q[half][i]);
  }
}

/// kColumns columns from n on, blocks [b0, b0 + count); columns past the last read the last again.
template <class Isa, DType T>
void int16_fill_panel(const LinearCall& c, int64_t n, int64_t b0, int64_t count, Int16Panel<Isa>& panel) {
  const int64_t stride = row_bytes<T>(c.shape.k);
  for (int h = 0; h < Int16Panel<Isa>::kColumns / 8; ++h) {
    const std::byte* rows[8];
    for (int r = 0; r < 8; ++r) rows[r] = c.w + smaller(n + 8 * h + r, c.n_end - 1) * stride;
    for (int64_t b = 0; b < count; ++b) int16_fill_block<Isa, T>(rows, (b0 + b) * Weight<T>::kBytes32, panel, b, 8 * h);
  }
}

/// R rows of activations against the panel; `sums` is [R][kColumns] and stays in memory.
template <class Isa, int R>
TENON_NOINLINE void int16_tile(const int32_t* x, const float* x_scale, const Int16Panel<Isa>& panel, int64_t blocks,
                               float* sums) {
  constexpr int kWide = Isa::kWide, kColumns = 2 * kWide;
  for (int64_t b = 0; b < blocks; ++b) {
    // Without this GCC 12 moves the float sums into registers and spills the integer ones.
    asm volatile("" : "+m"(*reinterpret_cast<float(*)[R * kColumns]>(sums)));
    typename Isa::Wide acc[R][2];
    TENON_UNROLL for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = Isa::broadcast(0);
    TENON_UNROLL for (int j = 0; j < 16; ++j) {
      asm volatile("" ::: "memory");  // keeps the unrolled steps apart (see int8_steps)
      const int32_t* const step = panel.quants + (b * 16 + j) * kColumns;
      const typename Isa::Wide w0 = Isa::load(step), w1 = Isa::load(step + kWide);
      TENON_UNROLL for (int r = 0; r < R; ++r) {
        const typename Isa::Wide q = Isa::broadcast(x[(b * 16 + j) * R + r]);
        acc[r][0] = Isa::dot_s16(acc[r][0], w0, q);
        acc[r][1] = Isa::dot_s16(acc[r][1], w1, q);
      }
    }
    TENON_UNROLL for (int r = 0; r < R; ++r) TENON_UNROLL for (int v = 0; v < 2; ++v) {
      float* const sum = sums + r * kColumns + v * kWide;
      const auto scale =
          Isa::float_mul(Isa::float_load(panel.d + b * kColumns + v * kWide), Isa::float_set(x_scale[b * R + r]));
      Isa::float_store(sum, Isa::float_fma(Isa::to_float(acc[r][v]), scale, Isa::float_load(sum)));
    }
  }
}

/// All tiles of activations against one filled panel that holds columns [n, n + columns), blocks [b0, b0 + count).
template <class Isa>
TENON_NOINLINE void int16_panel_pass(const LinearCall& c, const Int16Panel<Isa>& panel, int64_t n, int64_t b0,
                                     int64_t count) {
  constexpr int kColumns = 2 * Isa::kWide;
  alignas(64) float sums[Tiles::kRows * kColumns] = {};
  const Tiles tiles(c.shape.m);
  const int64_t k = c.shape.k, columns = smaller<int64_t>(kColumns, c.n_end - n);
  for (int64_t t = 0; t < tiles.count; ++t) {
    const int64_t rows = tiles.rows(t), first = tiles.first(t);
    float* const y = c.y + first * c.ldy + n;
    const int32_t* const x = reinterpret_cast<const int32_t*>(c.act) + first * (k / 2) + b0 * 16 * rows;
    const float* const d = reinterpret_cast<const float*>(c.act + 2 * c.shape.m * k) + first * (k / 32) + b0 * rows;
    if (b0 == 0)
      __builtin_memset(sums, 0, sizeof sums);
    else
      load_sums<kColumns>(sums, y, c.ldy, rows, columns);
    with_count<Tiles::kRows>(rows, [&](auto r) { int16_tile<Isa, decltype(r)::value>(x, d, panel, count, sums); });
    store_sums<kColumns>(sums, y, c.ldy, rows, columns);
  }
}

template <class Isa>
void run_int16_panel(const LinearCall& c) {
  Int16Panel<Isa> panel;
  const int64_t blocks = c.shape.k / 32;
  const auto run = [&]<DType T>() {
    for (int64_t n = c.n_begin; n < c.n_end; n += Int16Panel<Isa>::kColumns)
      for (int64_t b = 0; b < blocks; b += Int16Panel<Isa>::kBlocks) {
        const int64_t count = smaller(Int16Panel<Isa>::kBlocks, blocks - b);
        int16_fill_panel<Isa, T>(c, n, b, count, panel);
        int16_panel_pass<Isa>(c, panel, n, b, count);
      }
  };
  if (c.shape.w == DType::f16)
    run.template operator()<DType::f16>();
  else
    run.template operator()<DType::bf16>();
}

}  // namespace
}  // namespace tenon::cpu
