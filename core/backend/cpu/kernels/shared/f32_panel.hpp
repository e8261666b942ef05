// Products in float32 arithmetic for many activation rows: a panel of weight columns is dequantised and transposed into
// L1 once, then every tile of at most 6 activation rows passes over it with its sums in registers.
#pragma once

#include "backend/cpu/kernels/shared/f32_expand.hpp"
#include "backend/cpu/kernels/shared/weights.hpp"
#include "backend/cpu/linear.hpp"

namespace tenon::cpu {
namespace {

/// Activations as tiles: tile t is [k][rows(t)] floats at offset first(t) * k.
struct F32Tiles {
  static constexpr int64_t kPiece = 512;  // k per unit of packing work

  static size_t bytes(int64_t m, int64_t k) { return static_cast<size_t>(round_up(m * k * 4, 64)); }
  static int64_t units(int64_t m, int64_t k) { return Tiles(m).count * ((k + kPiece - 1) / kPiece); }
  static void pack(const float* x, int64_t ldx, int64_t m, int64_t k, int64_t begin, int64_t end, std::byte* dst) {
    const Tiles tiles(m);
    const int64_t pieces = (k + kPiece - 1) / kPiece;
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t t = unit / pieces, k0 = unit % pieces * kPiece, k1 = smaller(k0 + kPiece, k), rows = tiles.rows(t);
      float* out = reinterpret_cast<float*>(dst) + tiles.first(t) * k;
      for (int64_t r = 0; r < rows; ++r) {
        const float* in = x + (tiles.first(t) + r) * ldx;
        for (int64_t i = k0; i < k1; ++i) out[i * rows + r] = in[i];
      }
    }
  }
};

/// Weights [k0, k0 + 32) of 8 columns, transposed into panel rows of kColumns floats.
template <DType T, int kColumns>
TENON_INLINE void f32_panel_block(const std::byte* const rows[8], int64_t offset, int64_t count, float* panel) {
  alignas(32) float flat[8][32];
  for (int r = 0; r < 8; ++r) {
    Float w[4];
    if (count >= 32)
      Weight<T>::load32(rows[r] + offset, w);
    else
      load_some<T>(rows[r] + offset, count, w);
    TENON_UNROLL for (int j = 0; j < 4; ++j) _mm256_store_ps(flat[r] + 8 * j, w[j]);
  }
  for (int j = 0; j < 4; ++j) {
    Float v[8];
    TENON_UNROLL for (int r = 0; r < 8; ++r) v[r] = _mm256_load_ps(flat[r] + 8 * j);
    transpose8(v);
    TENON_UNROLL for (int i = 0; i < 8; ++i) _mm256_store_ps(panel + (8 * j + i) * kColumns, v[i]);
  }
}

/// kColumns columns from n on, depth [k0, k0 + kn); columns past the last read the last again.
template <DType T, int kColumns>
void f32_fill_panel(const LinearCall& c, int64_t n, int64_t k0, int64_t kn, float* panel) {
  const int64_t stride = row_bytes<T>(c.shape.k);
  for (int h = 0; h < kColumns / 8; ++h) {
    const std::byte* rows[8];
    for (int r = 0; r < 8; ++r) rows[r] = c.w + smaller(n + 8 * h + r, c.n_end - 1) * stride;
    for (int64_t i = 0; i < kn; i += 32)
      f32_panel_block<T, kColumns>(rows, (k0 + i) * Weight<T>::kBytes32 / 32, kn - i, panel + i * kColumns + 8 * h);
  }
}

/// R rows of activations against the panel; adds to y, or starts it when `first`.
template <class Isa, int R>
TENON_NOINLINE void f32_tile(const float* x, const float* panel, int64_t depth, float* y, int64_t ldy, int64_t columns,
                             bool first) {
  constexpr int kColumns = 2 * Isa::kWide;
  using F = typename Isa::WideFloat;
  F acc[R][2];
  TENON_UNROLL for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = Isa::float_set(0.0f);
  for (int64_t i = 0; i < depth; ++i) {
    F w0 = Isa::float_load(panel + i * kColumns), w1 = Isa::float_load(panel + i * kColumns + Isa::kWide);
    Isa::hold(w0);
    Isa::hold(w1);
    TENON_UNROLL for (int r = 0; r < R; ++r) {
      const F b = Isa::float_set(x[i * R + r]);
      acc[r][0] = Isa::float_fma(w0, b, acc[r][0]);
      acc[r][1] = Isa::float_fma(w1, b, acc[r][1]);
    }
  }
  for (int r = 0; r < R; ++r) {
    alignas(64) float row[kColumns] = {};
    float* const out = y + r * ldy;
    const size_t bytes = static_cast<size_t>(columns) * sizeof(float);
    if (!first) __builtin_memcpy(row, out, bytes);
    TENON_UNROLL for (int v = 0; v < 2; ++v)
        Isa::float_store(row + v * Isa::kWide, Isa::float_add(acc[r][v], Isa::float_load(row + v * Isa::kWide)));
    __builtin_memcpy(out, row, bytes);
  }
}

/// Weights [k0, k0 + kn) of the panel of columns at n against all activations.
template <class Isa>
TENON_INLINE void f32_panel_pass(const LinearCall& c, const float* panel, int64_t n, int64_t k0, int64_t kn) {
  const Tiles tiles(c.shape.m);
  const float* const x = reinterpret_cast<const float*>(c.act);
  const int64_t columns = smaller<int64_t>(2 * Isa::kWide, c.n_end - n);
  for (int64_t t = 0; t < tiles.count; ++t)
    with_count<Tiles::kRows>(tiles.rows(t), [&](auto rows) {
      constexpr int kRows = decltype(rows)::value;
      f32_tile<Isa, kRows>(x + tiles.first(t) * c.shape.k + k0 * kRows, panel, kn, c.y + tiles.first(t) * c.ldy + n,
                           c.ldy, columns, k0 == 0);
    });
}

template <class Isa>
constexpr int64_t kF32Depth = 4096 / (2 * Isa::kWide);  // 16 KiB of panel: half of the smallest L1

/// The weights at (n, k0) of kColumns columns as float32 rows of kExpandPiece.
template <int kColumns>
void f32_expand_columns(const LinearCall& c, Expand expand, int64_t n, int64_t k0, float* flat) {
  const int64_t stride = dtype_row_stride(c.shape.w, c.shape.k), offset = dtype_row_stride(c.shape.w, k0);
  for (int64_t r = 0; r < smaller<int64_t>(kColumns, c.n_end - n); ++r)
    expand(c.shape.w, c.w + (n + r) * stride + offset, flat + r * kExpandPiece, smaller(kExpandPiece, c.shape.k - k0));
}

template <class Isa>
void run_f32_expanded_panel(const LinearCall& c, Expand expand) {
  constexpr int kColumns = 2 * Isa::kWide;
  constexpr int64_t kDepth = kF32Depth<Isa>;
  alignas(64) float panel[kDepth * kColumns], flat[kExpandPiece * kColumns] = {};
  for (int64_t n = c.n_begin; n < c.n_end; n += kColumns) {
    LinearCall rows = c;  // the expanded rows as a product of their own
    rows.w = reinterpret_cast<const std::byte*>(flat);
    rows.n_end = smaller<int64_t>(kColumns, c.n_end - n);
    rows.shape.k = kExpandPiece;
    for (int64_t k0 = 0; k0 < c.shape.k; k0 += kExpandPiece) {
      f32_expand_columns<kColumns>(c, expand, n, k0, flat);
      const int64_t piece = smaller(kExpandPiece, c.shape.k - k0);
      for (int64_t i = 0; i < piece; i += kDepth) {
        const int64_t kn = smaller(kDepth, piece - i);
        f32_fill_panel<DType::f32, kColumns>(rows, 0, i, kn, panel);
        f32_panel_pass<Isa>(c, panel, n, k0 + i, kn);
      }
    }
  }
}

template <class Isa>
void run_f32_panel(const LinearCall& c) {
  constexpr int kColumns = 2 * Isa::kWide;
  constexpr int64_t kDepth = kF32Depth<Isa>;
  alignas(64) float panel[kDepth * kColumns];
  const bool direct = with_weight_type(c.shape.w, [&]<DType T>() {
    for (int64_t n = c.n_begin; n < c.n_end; n += kColumns)
      for (int64_t k0 = 0; k0 < c.shape.k; k0 += kDepth) {
        const int64_t kn = smaller(kDepth, c.shape.k - k0);
        f32_fill_panel<T, kColumns>(c, n, k0, kn, panel);
        f32_panel_pass<Isa>(c, panel, n, k0, kn);
      }
  });
  if (!direct) run_f32_expanded_panel<Isa>(c, expand_function(c.shape.w));
}

}  // namespace
}  // namespace tenon::cpu
