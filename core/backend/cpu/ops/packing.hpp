// How products are cut into pieces and how much room their packed activations need.
#pragma once

#include <algorithm>

#include "backend/cpu/op.hpp"

namespace tenon::cpu {

/// Columns of the two products of a gated unit that are computed before they are joined: long streams of weights, as
/// far as the results of both stay in cache.
inline int64_t glu_columns(int64_t m) { return std::max<int64_t>(64, 4096 / m / 64 * 64); }
inline constexpr int64_t kGluFloats = 4096;  // m * glu_columns(m) is at most this, or 64 * m

struct PackBound {
  uint64_t bytes = 0;    // packed activations of any m up to the maximum
  uint64_t scratch = 0;  // of a member
  double per_row = 0;    // largest bytes per row: m rows in any split stay within m * per_row
};

/// Over all implementations that serve m in [min_m, max_m].
PackBound pack_bound(const LinearChoice& choice, DType w, int64_t n, int64_t k, int64_t min_m, int64_t max_m,
                     bool exact);

/// Columns per piece: at most about 32 KiB of weights when a step is bound by memory, and enough pieces for members of
/// unequal speed to end together; a multiple of the implementation's grain.
int64_t piece_rows(const LinearImpl& impl, uint64_t row_bytes, int64_t n, int64_t m, int threads);

}  // namespace tenon::cpu
