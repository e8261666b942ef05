// Products of block-quantised weights with int8 activations, for many activation rows: a panel of weight columns is
// unpacked to bytes in L1 once, in steps of 4 k per column, then every tile of at most 6 activation rows passes over
// it. Integer sums of 32 k live in registers, float sums in L1: 16 registers hold no more.
#pragma once

#include "backend/cpu/kernels/shared/int8_quantise.hpp"
#include "backend/cpu/kernels/shared/weights.hpp"
#include "backend/cpu/linear.hpp"

namespace tenon::cpu {
namespace {

/// The packed form: five planes, each tile after tile. quants: [k / 4][rows] dwords of 4 int8; then per block [rows]
/// the scale d, d * sum(q), and the start words of unsigned 4-bit and 8-bit sums (Isa::start_word).
template <class Isa>
struct Int8Tiles {
  static constexpr int64_t kPiece = 16;  // blocks per unit of packing work

  static size_t bytes(int64_t m, int64_t k) { return static_cast<size_t>(round_up(m * k + 4 * 4 * m * (k / 32), 64)); }
  static int64_t pieces(int64_t k) { return (k / 32 + kPiece - 1) / kPiece; }
  static int64_t units(int64_t m, int64_t k) { return Tiles(m).count * pieces(k); }
  static void pack(const float* x, int64_t ldx, int64_t m, int64_t k, int64_t begin, int64_t end, std::byte* dst) {
    const Tiles tiles(m);
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t t = unit / pieces(k), b0 = unit % pieces(k) * kPiece, b1 = smaller(b0 + kPiece, k / 32);
      for (int64_t r = 0; r < tiles.rows(t); ++r)
        for (int64_t b = b0; b < b1; ++b)
          pack_block(x + (tiles.first(t) + r) * ldx + b * 32, Int8Tiles(dst, m, k, tiles.first(t)), tiles.rows(t), r,
                     b);
    }
  }

  /// The planes, at the tile whose first row is `row`.
  Int8Tiles(std::byte* p, int64_t m, int64_t k, int64_t row)
      : quants(reinterpret_cast<int32_t*>(p) + row * (k / 4)),
        d(reinterpret_cast<float*>(p + m * k) + row * (k / 32)),
        d_sum(d + m * (k / 32)),
        start4(reinterpret_cast<int32_t*>(d_sum + m * (k / 32))),
        start8(start4 + m * (k / 32)) {}

  static void pack_block(const float* x, Int8Tiles to, int64_t rows, int64_t r, int64_t block) {
    const Int8Block b = quantise32(x);
    alignas(32) int32_t q[8];
    _mm256_store_si256(reinterpret_cast<Int*>(q), b.q);
    for (int64_t i = 0; i < 8; ++i) to.quants[(block * 8 + i) * rows + r] = q[i];
    to.d[block * rows + r] = b.d;
    to.d_sum[block * rows + r] = b.d * static_cast<float>(b.sum01 + b.sum23);
    to.start4[block * rows + r] = Isa::start_word(-8 * b.sum01, -8 * b.sum23);
    to.start8[block * rows + r] = Isa::start_word(-128 * b.sum01, -128 * b.sum23);
  }

  int32_t* quants;
  float *d, *d_sum;
  int32_t *start4, *start8;
};

enum class Start { zero, words4, words8 };

/// How a type is computed in a panel: the byte code, what its sums start from, whether blocks have a minimum.
template <class Isa, DType T>
struct PanelType;
template <class Isa>
struct PanelType<Isa, DType::q4_0> {
  using Code = typename Isa::U4;
  static constexpr Start kStart = Start::words4;
  static constexpr bool kMin = false;
};
template <class Isa>
struct PanelType<Isa, DType::q4_1> {
  using Code = typename Isa::U4;
  static constexpr Start kStart = Start::zero;
  static constexpr bool kMin = true;
};
template <class Isa>
struct PanelType<Isa, DType::q8_0> {
  using Code = typename Isa::S8;
  static constexpr Start kStart = Isa::S8::kStart;
  static constexpr bool kMin = false;
};

constexpr int64_t kPanelBlocks = 16;  // depth 512: the panel and a tile of activations fit in 32 KiB of L1

template <class Isa>
struct Int8Panel {
  static constexpr int kColumns = 2 * Isa::kWide;
  alignas(64) std::byte quants[kPanelBlocks * 8 * kColumns * 4 * Isa::S8::kPlanes];
  alignas(64) float d[kPanelBlocks * kColumns];
  alignas(64) float min[kPanelBlocks * kColumns];
};

TENON_INLINE Float gather_f16(const std::byte* const rows[8], int64_t offset) {
  alignas(16) uint16_t v[8];
  TENON_UNROLL for (int r = 0; r < 8; ++r) v[r] = load_u16(rows[r] + offset);
  return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(v)));
}

/// One block of 8 columns into the panel: `step` is the place of its first 4 k, steps are kStep bytes apart.
template <class Isa, DType T>
TENON_INLINE void int8_unpack(const std::byte* const rows[8], int64_t offset, std::byte* step, float* d, float* min) {
  using Code = typename PanelType<Isa, T>::Code;
  constexpr int kStep = 2 * Isa::kWide * 4 * Code::kPlanes;
  _mm256_storeu_ps(d, gather_f16(rows, offset));
  Int v[4];
  if constexpr (T == DType::q8_0) {
    for (int half = 0; half < 2; ++half) {
      transpose_dwords(rows, offset + 2 + 16 * half, v);
      TENON_UNROLL for (int t = 0; t < 4; ++t) Code::put(step + (4 * half + t) * kStep, v[t]);
    }
  } else {
    if constexpr (T == DType::q4_1) _mm256_storeu_ps(min, gather_f16(rows, offset + 2));
    const Int mask = _mm256_set1_epi8(15);
    transpose_dwords(rows, offset + Weight<T>::kBytes32 - 16, v);
    TENON_UNROLL for (int t = 0; t < 4; ++t) {
      Code::put(step + t * kStep, _mm256_and_si256(v[t], mask));
      Code::put(step + (4 + t) * kStep, _mm256_and_si256(_mm256_srli_epi16(v[t], 4), mask));
    }
  }
}

/// kColumns columns from n on, blocks [b0, b0 + count); columns past the last read the last again.
template <class Isa, DType T>
void int8_fill_panel(const LinearCall& c, int64_t n, int64_t b0, int64_t count, Int8Panel<Isa>& panel) {
  constexpr int kColumns = 2 * Isa::kWide;
  constexpr int kStep = kColumns * 4 * PanelType<Isa, T>::Code::kPlanes;
  const int64_t stride = row_bytes<T>(c.shape.k);
  for (int h = 0; h < kColumns / 8; ++h) {
    const std::byte* rows[8];
    for (int r = 0; r < 8; ++r) rows[r] = c.w + smaller(n + 8 * h + r, c.n_end - 1) * stride;
    for (int64_t b = 0; b < count; ++b)
      int8_unpack<Isa, T>(rows, (b0 + b) * Weight<T>::kBytes32, panel.quants + b * 8 * kStep + h * 32,
                          panel.d + b * kColumns + 8 * h, panel.min + b * kColumns + 8 * h);
  }
}

/// Asks for the stored blocks of a later panel: rows lie far apart, which no hardware prefetcher follows.
template <class Isa, DType T>
TENON_INLINE void int8_prefetch(const LinearCall& c, int64_t n, int64_t b0, int64_t count) {
  const int64_t stride = row_bytes<T>(c.shape.k), bytes = count * Weight<T>::kBytes32;
  for (int64_t r = n; r < smaller<int64_t>(n + 2 * Isa::kWide, c.n_end); ++r) {
    const char* const p = reinterpret_cast<const char*>(c.w + r * stride + b0 * Weight<T>::kBytes32);
    for (int64_t i = 0; i < bytes; i += 64) _mm_prefetch(p + i, _MM_HINT_T0);
    _mm_prefetch(p + bytes - 1, _MM_HINT_T0);
  }
}

/// R rows of activations against the panel; `sums` is [R][kColumns] and stays in memory.
template <class Isa, DType T, int R>
TENON_NOINLINE void int8_tile(const Int8Tiles<Isa>& x, const Int8Panel<Isa>& panel, int64_t blocks, float* sums) {
  using Type = PanelType<Isa, T>;
  using Code = typename Type::Code;
  constexpr int kWide = Isa::kWide, kColumns = 2 * kWide, kStep = kColumns * 4 * Code::kPlanes;
  for (int64_t b = 0; b < blocks; ++b) {
    // Without this GCC 12 moves the float sums into registers and spills the integer ones.
    asm volatile("" : "+m"(*reinterpret_cast<float(*)[R * kColumns]>(sums)));
    typename Isa::Wide acc[R][2];
    TENON_UNROLL for (int r = 0; r < R; ++r) {
      if constexpr (Type::kStart == Start::zero)
        acc[r][0] = acc[r][1] = Isa::broadcast(0);
      else
        acc[r][0] = acc[r][1] = Isa::broadcast((Type::kStart == Start::words4 ? x.start4 : x.start8)[b * R + r]);
    }
    TENON_UNROLL for (int j = 0; j < 8; ++j) {
      asm volatile(
          "" ::
              : "memory");  // keeps the unrolled steps apart: GCC 12 computes all products first and spills them
      const std::byte* const step = panel.quants + (b * 8 + j) * kStep;
      const typename Code::Operand w0 = Code::load(step, 0), w1 = Code::load(step, 1);
      TENON_UNROLL for (int r = 0; r < R; ++r) {
        const typename Isa::Wide q = Isa::broadcast(x.quants[(b * 8 + j) * R + r]);
        acc[r][0] = Code::add_products(acc[r][0], w0, q);
        acc[r][1] = Code::add_products(acc[r][1], w1, q);
      }
    }
    TENON_UNROLL for (int r = 0; r < R; ++r) TENON_UNROLL for (int v = 0; v < 2; ++v) {
      float* const sum = sums + r * kColumns + v * kWide;
      const auto scale =
          Isa::float_mul(Isa::float_load(panel.d + b * kColumns + v * kWide), Isa::float_set(x.d[b * R + r]));
      auto f = Isa::float_fma(Isa::to_float(Code::total(acc[r][v])), scale, Isa::float_load(sum));
      if constexpr (Type::kMin)
        f = Isa::float_fma(Isa::float_load(panel.min + b * kColumns + v * kWide), Isa::float_set(x.d_sum[b * R + r]),
                           f);
      Isa::float_store(sum, f);
    }
  }
}

/// Moves a tile's sums from and to y: row by row, only the last panel of a product has fewer than kColumns.
template <int kColumns>
TENON_INLINE void int8_load_sums(float* sums, const float* y, int64_t ldy, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r)
    if (columns == kColumns)
      __builtin_memcpy(sums + r * kColumns, y + r * ldy, kColumns * sizeof(float));
    else
      __builtin_memcpy(sums + r * kColumns, y + r * ldy, static_cast<size_t>(columns) * sizeof(float));
}
template <int kColumns>
TENON_INLINE void int8_store_sums(const float* sums, float* y, int64_t ldy, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r)
    if (columns == kColumns)
      __builtin_memcpy(y + r * ldy, sums + r * kColumns, kColumns * sizeof(float));
    else
      __builtin_memcpy(y + r * ldy, sums + r * kColumns, static_cast<size_t>(columns) * sizeof(float));
}

/// All tiles of activations against one filled panel that holds columns [n, n + columns), blocks [b0, b0 + count).
template <class Isa, DType T>
void int8_panel_pass(const LinearCall& c, const Int8Panel<Isa>& panel, int64_t n, int64_t b0, int64_t count) {
  constexpr int kColumns = 2 * Isa::kWide;
  alignas(64) float sums[Tiles::kRows * kColumns] = {};
  const Tiles tiles(c.shape.m);
  const int64_t columns = smaller<int64_t>(kColumns, c.n_end - n);
  for (int64_t t = 0; t < tiles.count; ++t) {
    const int64_t rows = tiles.rows(t);
    float* const y = c.y + tiles.first(t) * c.ldy + n;
    // The planes are written by the packing only; here they are read.
    Int8Tiles<Isa> x(const_cast<std::byte*>(c.act), c.shape.m, c.shape.k, tiles.first(t));
    x.quants += b0 * 8 * rows;
    x.d += b0 * rows;
    x.d_sum += b0 * rows;
    x.start4 += b0 * rows;
    x.start8 += b0 * rows;
    if (b0 == 0)
      __builtin_memset(sums, 0, sizeof sums);
    else
      int8_load_sums<kColumns>(sums, y, c.ldy, rows, columns);
    with_count<Tiles::kRows>(rows, [&](auto r) { int8_tile<Isa, T, decltype(r)::value>(x, panel, count, sums); });
    int8_store_sums<kColumns>(sums, y, c.ldy, rows, columns);
  }
}

template <class Isa>
void run_int8_panel(const LinearCall& c) {
  Int8Panel<Isa> panel;
  const int64_t blocks = c.shape.k / 32, passes = (blocks + kPanelBlocks - 1) / kPanelBlocks;
  const int64_t depth = (blocks + passes - 1) / passes;  // even passes: no short last one
  with_block_type(c.shape.w, [&]<DType T>() {
    for (int64_t n = c.n_begin; n < c.n_end; n += Int8Panel<Isa>::kColumns)
      for (int64_t b = 0; b < blocks; b += depth) {
        const int64_t count = smaller(depth, blocks - b);
        int8_fill_panel<Isa, T>(c, n, b, count, panel);
        if (b + count < blocks)
          int8_prefetch<Isa, T>(c, n, b + count, smaller(depth, blocks - b - count));
        else
          int8_prefetch<Isa, T>(c, n + Int8Panel<Isa>::kColumns, 0, depth);
        int8_panel_pass<Isa, T>(c, panel, n, b, count);
      }
  });
}

}  // namespace
}  // namespace tenon::cpu
