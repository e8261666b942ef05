// How products are cut into pieces and how much room their packed activations need.
#pragma once

#include <algorithm>

#include "backend/cpu/op.hpp"

namespace tenon::cpu {

/// Columns of the two products of a gated unit that are computed before they are joined.
inline constexpr int64_t kGluRows = 64;

struct PackBound {
  uint64_t bytes = 0;    // packed activations of any m up to the maximum
  uint64_t scratch = 0;  // of a member
  double per_row = 0;    // largest bytes per row: m rows in any split stay within m * per_row
};

/// Over all implementations that serve m in [min_m, max_m].
PackBound pack_bound(const LinearChoice& choice, DType w, int64_t n, int64_t k, int64_t min_m, int64_t max_m, bool exact);

/// Columns per piece: about 32 KiB of weights when a step is bound by memory, an eighth of a member's share when by
/// arithmetic; a multiple of the implementation's grain.
int64_t piece_rows(const LinearImpl& impl, uint64_t row_bytes, int64_t n, int64_t m, int threads);

/// Runs fn(piece) for all pieces: the first two thirds are dealt out in contiguous runs, so that each member streams, the
/// rest one by one to whoever is free.
template <typename Fn>
void share_pieces(const Team& team, int64_t pieces, Fn&& fn) {
  const int64_t each = team.size() == 1 ? pieces : pieces * 2 / (3 * team.size());
  for (int64_t p = team.rank() * each; p < (team.rank() + 1) * each; ++p) fn(p);
  const int64_t dealt = each * team.size();
  team.for_each(pieces - dealt, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) fn(dealt + p);
  });
}

}  // namespace tenon::cpu
