// The float sums of a tile, which a panel kernel keeps in L1 from one panel of depth to the next.
#pragma once

#include "backend/cpu/kernels/shared/simd.hpp"

namespace tenon::cpu {
namespace {

/// Moves a tile's sums from and to y: row by row, only the last panel of a product has fewer than kColumns.
template <int kColumns>
TENON_INLINE void load_sums(float* sums, const float* y, int64_t ldy, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r)
    if (columns == kColumns)
      __builtin_memcpy(sums + r * kColumns, y + r * ldy, kColumns * sizeof(float));
    else
      __builtin_memcpy(sums + r * kColumns, y + r * ldy, static_cast<size_t>(columns) * sizeof(float));
}
template <int kColumns>
TENON_INLINE void store_sums(const float* sums, float* y, int64_t ldy, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r)
    if (columns == kColumns)
      __builtin_memcpy(y + r * ldy, sums + r * kColumns, kColumns * sizeof(float));
    else
      __builtin_memcpy(y + r * ldy, sums + r * kColumns, static_cast<size_t>(columns) * sizeof(float));
}

}  // namespace
}  // namespace tenon::cpu
