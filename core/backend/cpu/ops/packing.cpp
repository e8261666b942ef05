// Pieces and bounds of packed activations.
#include "backend/cpu/ops/packing.hpp"

namespace tenon::cpu {

namespace {
constexpr int64_t kPieceBytes = 32 << 10;
constexpr int64_t kPiecesPerMember = 32;
constexpr int64_t kArithmeticRows = 16;  // from this many rows on a product is bound by arithmetic
}  // namespace

PackBound pack_bound(const LinearChoice& choice, DType w, int64_t n, int64_t k, int64_t min_m, int64_t max_m,
                     bool exact) {
  PackBound bound;
  for (int64_t m = min_m; m <= max_m; ++m) {
    const LinearImpl& impl = choice.at(m);
    bound.scratch =
        std::max<uint64_t>(bound.scratch, align64(impl.scratch_bytes ? impl.scratch_bytes({w, n, k, m, exact}) : 0));
    if (!impl.act) continue;
    const uint64_t bytes = align64(impl.act->bytes(m, k));
    bound.bytes = std::max(bound.bytes, bytes);
    bound.per_row = std::max(bound.per_row, static_cast<double>(bytes) / static_cast<double>(m));
  }
  return bound;
}

int64_t piece_rows(const LinearImpl& impl, uint64_t row_bytes, int64_t n, int64_t m, int threads) {
  const int64_t grain = std::max<int64_t>(impl.grain, 1);
  int64_t rows = n / (kPiecesPerMember * threads);
  if (m < kArithmeticRows) rows = std::min(rows, kPieceBytes / static_cast<int64_t>(std::max<uint64_t>(row_bytes, 1)));
  return std::max(grain, rows / grain * grain);
}

}  // namespace tenon::cpu
