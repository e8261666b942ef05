// Products of block-quantised weights with int8 activations, for many activation rows: a panel of weight columns is
// unpacked to bytes in L1 once, in steps of 4 k per column, then every tile of at most 6 activation rows passes over
// it. Integer sums of 32 k live in registers, float sums in L1: 16 registers hold no more.
#pragma once

#include <type_traits>

#include "backend/cpu/kernels/shared/int8_quantise.hpp"
#include "backend/cpu/kernels/shared/panel_sums.hpp"
#include "backend/cpu/kernels/shared/super_codes.hpp"
#include "backend/cpu/linear.hpp"

namespace tenon::cpu {
namespace {

/// The packed form: planes, each tile after tile. quants: [k / 4][rows] dwords of 4 int8; then per block [rows] the
/// scale d, d * sum(q) of the block and of its halves, and the start words (Isa::start_word) of sums of the same three,
/// for codes with an offset of 8.
template <class Isa>
struct Int8Tiles {
  static constexpr int64_t kPiece = 16;  // blocks per unit of packing work
  static constexpr int kPlanes = 7;      // beside quants

  static size_t bytes(int64_t m, int64_t k) {
    return static_cast<size_t>(round_up(m * k + kPlanes * 4 * m * (k / 32), 64));
  }
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
        plane(m * (k / 32)) {}

  float* d_sum() const { return d + plane; }
  float* d_half(int i) const { return d + (2 + i) * plane; }
  int32_t* start() const { return reinterpret_cast<int32_t*>(d + 4 * plane); }
  int32_t* start_half(int i) const { return reinterpret_cast<int32_t*>(d + (5 + i) * plane); }

  /// Moves on by some blocks.
  void skip(int64_t blocks, int64_t rows) {
    quants += blocks * 8 * rows;
    d += blocks * rows;
  }

  static void pack_block(const float* x, Int8Tiles to, int64_t rows, int64_t r, int64_t block) {
    const Int8Block b = quantise32(x);
    alignas(32) int32_t q[8];
    _mm256_store_si256(reinterpret_cast<Int*>(q), b.q);
    for (int64_t i = 0; i < 8; ++i) to.quants[(block * 8 + i) * rows + r] = q[i];
    const int64_t at = block * rows + r;
    to.d[at] = b.d;
    to.d_sum()[at] = b.d * static_cast<float>(b.all());
    to.start()[at] = Isa::start_word(-8 * (b.sum01[0] + b.sum01[1]), -8 * (b.sum23[0] + b.sum23[1]));
    for (int i = 0; i < 2; ++i) {
      to.d_half(i)[at] = b.d * static_cast<float>(b.half(i));
      to.start_half(i)[at] = Isa::start_word(-8 * b.sum01[i], -8 * b.sum23[i]);
    }
  }

  int32_t* quants;
  float* d;
  int64_t plane;  // words from a plane to the next
};

/// What a tile's loop depends on: types that agree in it share the loop.
template <class CodeKind, int kCodeOffset, bool kHasMin, bool kHasHalves>
struct PanelKind {
  using Code = CodeKind;
  static constexpr int kOffset = kCodeOffset;
  static constexpr bool kMin = kHasMin, kHalves = kHasHalves;
};
template <class Isa, DType T, class C = Codes<T>>
using PanelKindOf = std::conditional_t<C::kSigned, PanelKind<typename Isa::S8, Isa::S8::kOffset, C::kMin, C::kHalves>,
                                       PanelKind<typename Isa::U6, C::kOffset, C::kMin, C::kHalves>>;

constexpr int64_t kPanelBlocks = 16;  // depth 512: the panel and a tile of activations fit in 32 KiB of L1

/// d and min: per block and column; with scales per 16 they are per 256 (repeated) and per 16, and `scale` holds words
/// of the codes' kind.
template <class Isa>
struct Int8Panel {
  static constexpr int kColumns = 2 * Isa::kWide;
  alignas(64) std::byte quants[kPanelBlocks * 8 * kColumns * 4 * Isa::S8::kPlanes];
  alignas(64) float d[kPanelBlocks * kColumns];
  alignas(64) float min[2 * kPanelBlocks * kColumns];
  alignas(64) int32_t scale[2 * kPanelBlocks * kColumns];
};

/// Pair J of 8 columns into the panel: `step` is the place of the first 4 k of the group of blocks.
template <class Isa, DType T, int J>
TENON_INLINE void int8_fill_pair(const std::byte* const rows[8], std::byte* step) {
  using Code = typename PanelKindOf<Isa, T>::Code;
  constexpr int kStep = 2 * Isa::kWide * 4 * Code::kPlanes;
  Int codes[2][8];
  TENON_UNROLL for (int r = 0; r < 8; ++r) {
    Int w[2];
    pair_codes<T, J>(rows[r], w);
    codes[0][r] = w[0];
    codes[1][r] = w[1];
  }
  TENON_UNROLL for (int half = 0; half < 2; ++half) {
    transpose8(codes[half]);
    TENON_UNROLL for (int i = 0; i < 8; ++i)
        Code::put(step + ((2 * J + i / 4) * 8 + half * 4 + i % 4) * kStep, codes[half][i]);
  }
}

/// Scales of the group of blocks from b on of the 8 columns from `column` on.
template <class Isa, DType T>
TENON_INLINE void int8_fill_scales(const std::byte* const rows[8], Int8Panel<Isa>& panel, int64_t b, int column) {
  using C = Codes<T>;
  constexpr int kColumns = 2 * Isa::kWide;
  static constexpr int kOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};
  Float d[8], min[8];
  TENON_UNROLL for (int r = 0; r < 8; ++r) {
    const BlockScales s = C::template scales<0, 4>(rows[r]);
    d[r] = s.d;
    min[r] = s.min;
  }
  transpose8(d);
  if constexpr (C::kMin) transpose8(min);
  TENON_UNROLL for (int i = 0; i < 8; ++i) {
    const int64_t to = (b + kOrder[i]) * kColumns + column;
    _mm256_storeu_ps(panel.d + to, d[i]);
    if constexpr (C::kMin) _mm256_storeu_ps(panel.min + to, min[i]);
  }
}

/// Scales per 16: per block and column a word of the first halves, then one of the second.
template <class Isa, DType T>
TENON_INLINE void int8_fill_half_scales(const std::byte* const rows[8], Int8Panel<Isa>& panel, int64_t b, int column) {
  using C = Codes<T>;
  constexpr int kColumns = 2 * Isa::kWide;
  static constexpr int kOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};
  Int scale[8], min[8];
  alignas(32) float d[8], dmin[8];
  TENON_UNROLL for (int r = 0; r < 8; ++r) {
    const HalfScales s = C::scales(rows[r]);
    scale[r] = s.scale;
    min[r] = s.min;
    d[r] = s.d;
    dmin[r] = s.dmin;
  }
  transpose8(scale);
  if constexpr (C::kMin) transpose8(min);
  TENON_UNROLL for (int i = 0; i < 8; ++i) {
    _mm256_storeu_ps(panel.d + (b + i) * kColumns + column, _mm256_load_ps(d));
    TENON_UNROLL for (int half = 0; half < 2; ++half) {
      const int64_t to = (2 * (b + kOrder[i]) + half) * kColumns + column;
      const auto pick = [half](Int v) { return _mm256_srai_epi32(half ? v : _mm256_slli_epi32(v, 16), 16); };
      store_int(panel.scale + to, Isa::scale_words(pick(scale[i])));
      if constexpr (C::kMin)
        _mm256_storeu_ps(panel.min + to, _mm256_mul_ps(_mm256_cvtepi32_ps(pick(min[i])), _mm256_load_ps(dmin)));
    }
  }
}

/// kColumns columns from n on, blocks [b0, b0 + count) in groups of 8; columns past the last read the last again.
template <class Isa, DType T>
void int8_fill_panel(const LinearCall& c, int64_t n, int64_t b0, int64_t count, Int8Panel<Isa>& panel) {
  using C = Codes<T>;
  constexpr int kColumns = 2 * Isa::kWide, kStep = kColumns * 4 * PanelKindOf<Isa, T>::Code::kPlanes;
  const int64_t stride = C::row_bytes(c.shape.k);
  for (int h = 0; h < kColumns / 8; ++h)
    for (int64_t b = 0; b < count; b += 8) {
      const std::byte* rows[8];
      for (int r = 0; r < 8; ++r)
        rows[r] = c.w + smaller(n + 8 * h + r, c.n_end - 1) * stride + (b0 + b) / 8 * C::kGroup;
      std::byte padded[8][C::kSuper ? 1 : C::kGroup];
      if constexpr (!C::kSuper)
        if (count - b < 8)
          for (int r = 0; r < 8; ++r) rows[r] = pad_group<C::kGroup>(padded[r], rows[r], (count - b) * C::kBlock);
      if constexpr (C::kHalves)
        int8_fill_half_scales<Isa, T>(rows, panel, b, 8 * h);
      else
        int8_fill_scales<Isa, T>(rows, panel, b, 8 * h);
      std::byte* const step = panel.quants + b * 8 * kStep + h * 32;
      int8_fill_pair<Isa, T, 0>(rows, step);
      int8_fill_pair<Isa, T, 1>(rows, step);
      int8_fill_pair<Isa, T, 2>(rows, step);
      int8_fill_pair<Isa, T, 3>(rows, step);
    }
}

/// Asks for the stored blocks of a later panel: rows lie far apart, which no hardware prefetcher follows.
template <class Isa, DType T>
TENON_INLINE void int8_prefetch(const LinearCall& c, int64_t n, int64_t b0, int64_t count) {
  const int64_t stride = Codes<T>::row_bytes(c.shape.k), bytes = Codes<T>::row_bytes(32 * count);
  for (int64_t r = n; r < smaller<int64_t>(n + 2 * Isa::kWide, c.n_end); ++r) {
    const char* const p = reinterpret_cast<const char*>(c.w + r * stride + Codes<T>::row_bytes(32 * b0));
    for (int64_t i = 0; i < bytes; i += 64) _mm_prefetch(p + i, _MM_HINT_T0);
    _mm_prefetch(p + bytes - 1, _MM_HINT_T0);
  }
}

/// Steps [First, First + Count) of block b: adds the products of 4 k each to the integer sums.
template <class Isa, class Kind, int R, int First, int Count>
TENON_INLINE void int8_steps(const Int8Tiles<Isa>& x, const Int8Panel<Isa>& panel, int64_t b,
                             typename Isa::Wide acc[R][2]) {
  using Code = typename Kind::Code;
  constexpr int kStep = 2 * Isa::kWide * 4 * Code::kPlanes;
  TENON_UNROLL for (int j = First; j < First + Count; ++j) {
    asm volatile("" ::
                     : "memory");  // keeps the unrolled steps apart: GCC 12 computes all products first and spills them
    const std::byte* const step = panel.quants + (b * 8 + j) * kStep;
    const typename Code::Operand w0 = Code::load(step, 0), w1 = Code::load(step, 1);
    TENON_UNROLL for (int r = 0; r < R; ++r) {
      const typename Isa::Wide q = Isa::broadcast(x.quants[(b * 8 + j) * R + r]);
      acc[r][0] = Code::add_products(acc[r][0], w0, q);
      acc[r][1] = Code::add_products(acc[r][1], w1, q);
    }
  }
}

/// Integer sums at what the codes' offset comes to.
template <class Isa, class Kind, int R>
TENON_INLINE void int8_start(const int32_t* words, typename Isa::Wide acc[R][2]) {
  TENON_UNROLL for (int r = 0; r < R; ++r) {
    if constexpr (Kind::kOffset == 0)
      acc[r][0] = acc[r][1] = Isa::broadcast(0);
    else
      acc[r][0] = acc[r][1] = Kind::Code::template start<Kind::kOffset / 8>(Isa::broadcast(words[r]));
  }
}

/// The integer sums of block b.
template <class Isa, class Kind, int R>
TENON_INLINE void int8_block(const Int8Tiles<Isa>& x, const Int8Panel<Isa>& panel, int64_t b,
                             typename Isa::Wide acc[R][2]) {
  using Code = typename Kind::Code;
  if constexpr (Kind::kHalves) {
    const int32_t* const scale = panel.scale + 2 * b * 2 * Isa::kWide;
    typename Isa::Wide first[R][2];
    int8_start<Isa, Kind, R>(x.start_half(0) + b * R, acc);
    int8_steps<Isa, Kind, R, 0, 4>(x, panel, b, acc);
    TENON_UNROLL for (int r = 0; r < R; ++r) TENON_UNROLL for (int v = 0; v < 2; ++v) first[r][v] =
        Code::scaled(acc[r][v], scale + v * Isa::kWide);
    int8_start<Isa, Kind, R>(x.start_half(1) + b * R, acc);
    int8_steps<Isa, Kind, R, 4, 4>(x, panel, b, acc);
    TENON_UNROLL for (int r = 0; r < R; ++r) TENON_UNROLL for (int v = 0; v < 2; ++v) acc[r][v] =
        Isa::add(first[r][v], Code::scaled(acc[r][v], scale + (2 + v) * Isa::kWide));
  } else {
    int8_start<Isa, Kind, R>(x.start() + b * R, acc);
    int8_steps<Isa, Kind, R, 0, 8>(x, panel, b, acc);
    TENON_UNROLL for (int r = 0; r < R; ++r) TENON_UNROLL for (int v = 0; v < 2; ++v) acc[r][v] =
        Code::total(acc[r][v]);
  }
}

/// R rows of activations against the panel; `sums` is [R][kColumns] and stays in memory.
template <class Isa, class Kind, int R>
TENON_NOINLINE void int8_tile(const Int8Tiles<Isa>& x, const Int8Panel<Isa>& panel, int64_t blocks, float* sums) {
  constexpr int kWide = Isa::kWide, kColumns = 2 * kWide;
  for (int64_t b = 0; b < blocks; ++b) {
    // Without this GCC 12 moves the float sums into registers and spills the integer ones.
    asm volatile("" : "+m"(*reinterpret_cast<float(*)[R * kColumns]>(sums)));
    typename Isa::Wide acc[R][2];
    int8_block<Isa, Kind, R>(x, panel, b, acc);
    TENON_UNROLL for (int r = 0; r < R; ++r) TENON_UNROLL for (int v = 0; v < 2; ++v) {
      float* const sum = sums + r * kColumns + v * kWide;
      const auto scale =
          Isa::float_mul(Isa::float_load(panel.d + b * kColumns + v * kWide), Isa::float_set(x.d[b * R + r]));
      auto f = Isa::float_fma(Isa::to_float(acc[r][v]), scale, Isa::float_load(sum));
      if constexpr (Kind::kMin && !Kind::kHalves)
        f = Isa::float_fma(Isa::float_load(panel.min + b * kColumns + v * kWide), Isa::float_set(x.d_sum()[b * R + r]),
                           f);
      if constexpr (Kind::kMin && Kind::kHalves)
        TENON_UNROLL for (int half = 0; half < 2; ++half) f =
            Isa::float_fma(Isa::float_load(panel.min + (2 * b + half) * kColumns + v * kWide),
                           Isa::float_set(x.d_half(half)[b * R + r]), f);
      Isa::float_store(sum, f);
    }
  }
}

/// All tiles of activations against one filled panel that holds columns [n, n + columns), blocks [b0, b0 + count).
template <class Isa, class Kind>
TENON_NOINLINE void int8_panel_pass(const LinearCall& c, const Int8Panel<Isa>& panel, int64_t n, int64_t b0,
                                    int64_t count) {
  constexpr int kColumns = 2 * Isa::kWide;
  alignas(64) float sums[Tiles::kRows * kColumns] = {};
  const Tiles tiles(c.shape.m);
  const int64_t columns = smaller<int64_t>(kColumns, c.n_end - n);
  for (int64_t t = 0; t < tiles.count; ++t) {
    const int64_t rows = tiles.rows(t);
    float* const y = c.y + tiles.first(t) * c.ldy + n;
    // The planes are written by the packing only; here they are read.
    Int8Tiles<Isa> x(const_cast<std::byte*>(c.act), c.shape.m, c.shape.k, tiles.first(t));
    x.skip(b0, rows);
    if (b0 == 0)
      __builtin_memset(sums, 0, sizeof sums);
    else
      load_sums<kColumns>(sums, y, c.ldy, rows, columns);
    with_count<Tiles::kRows>(rows, [&](auto r) { int8_tile<Isa, Kind, decltype(r)::value>(x, panel, count, sums); });
    store_sums<kColumns>(sums, y, c.ldy, rows, columns);
  }
}

template <class Isa>
void run_int8_panel(const LinearCall& c) {
  Int8Panel<Isa> panel;
  const int64_t blocks = c.shape.k / 32, passes = (blocks + kPanelBlocks - 1) / kPanelBlocks;
  const int64_t depth = round_up((blocks + passes - 1) / passes, 8);  // even passes: no short last one
  with_code_type(c.shape.w, [&]<DType T>() {
    for (int64_t n = c.n_begin; n < c.n_end; n += Int8Panel<Isa>::kColumns)
      for (int64_t b = 0; b < blocks; b += depth) {
        const int64_t count = smaller(depth, blocks - b);
        int8_fill_panel<Isa, T>(c, n, b, count, panel);
        if (b + count < blocks)
          int8_prefetch<Isa, T>(c, n, b + count, smaller(depth, blocks - b - count));
        else
          int8_prefetch<Isa, T>(c, n + Int8Panel<Isa>::kColumns, 0, depth);
        int8_panel_pass<Isa, PanelKindOf<Isa, T>>(c, panel, n, b, count);
      }
  });
}

}  // namespace
}  // namespace tenon::cpu
