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
PackBound pack_bound(const LinearChoice& choice, DType w, int64_t n, int64_t k, int64_t min_m, int64_t max_m,
                     bool exact);

/// Columns per piece: at most about 32 KiB of weights when a step is bound by memory, and enough pieces for members of
/// unequal speed to end together; a multiple of the implementation's grain.
int64_t piece_rows(const LinearImpl& impl, uint64_t row_bytes, int64_t n, int64_t m, int threads);

/// Runs fn(begin, end) over all pieces: the first two thirds are dealt out in contiguous runs, so that each member
/// streams, the rest one by one to whoever is free. A member at half speed then still ends with the others.
template <typename Fn>
void share_pieces(const Team& team, int64_t pieces, Fn&& fn) {
  if (team.size() == 1) return fn(int64_t{0}, pieces);
  const int64_t each = pieces * 2 / (3 * team.size()), dealt = each * team.size();
  if (each > 0) fn(team.rank() * each, (team.rank() + 1) * each);
  team.for_each(pieces - dealt, 1, [&](int64_t begin, int64_t end) { fn(dealt + begin, dealt + end); });
}

}  // namespace tenon::cpu
