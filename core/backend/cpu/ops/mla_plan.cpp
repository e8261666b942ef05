// Tasks of latent attention.
#include "backend/cpu/ops/mla_plan.hpp"

#include <algorithm>

namespace tenon::cpu {

namespace {
constexpr int64_t kTaskQueries = 32;  // queries that share one pass over the rows
constexpr int64_t kSplitPages = 4;    // a context is shared out in pieces of at least this many pages
constexpr int64_t kFewRows = 8;       // fewer queries are not worth the unpacking of a head's matrices
constexpr double kMatrixCost = 1.5;
constexpr int64_t kTasksPerMember = 2;  // with fewer tasks than this, contexts are split

/// The most heads, up to kTaskQueries, that divide all of them; all when that leaves less than 8 together.
int64_t heads_together(int64_t heads) {
  int64_t n = std::min(heads, kTaskQueries);
  while (heads % n != 0) --n;
  return n >= std::min<int64_t>(heads, 8) ? n : heads;
}
}  // namespace

MlaPlan::MlaPlan(const MlaSpec& spec, const ExecOptions& options, int threads)
    : spec_(spec),
      options_(options),
      threads_(threads),
      heads_(heads_together(spec.heads)),
      rows_(std::max<int64_t>(1, kTaskQueries / heads_)),
      max_split_tasks_(static_cast<size_t>(2 * kTasksPerMember * threads)) {
  const auto blocks = [&](int64_t rows) {
    return std::min(options.max_tokens, options.max_tokens / rows + options.max_seqs + 1);
  };
  latent_.reserve(static_cast<size_t>(blocks(rows_) * (spec.heads / heads_)) + max_split_tasks_);
  expanded_.reserve(static_cast<size_t>(blocks(kExpandRows) * spec.heads));
  runs_.reserve(static_cast<size_t>(blocks(kRunRows)));
}

// Multiplications of both ways. Measured with 16 heads of 128 + 64 and 128 on latent rows of 512: the ways meet at 8
// rows without a past and at 230 to 290 rows behind 512 to 8192 cached ones, as if one by k_b or v_b cost half more.
bool MlaPlan::expands(const MlaSpec& s, int64_t pos, int64_t n_rows) {
  if (n_rows < kFewRows) return false;
  const double n = static_cast<double>(n_rows), keys = static_cast<double>(pos + n_rows);
  const double pairs = n * static_cast<double>(pos) + n * (n + 1) / 2;
  const double matrices = kMatrixCost * static_cast<double>((s.nope + s.value) * s.latent);
  const double latent = pairs * static_cast<double>(2 * s.latent + s.rotary) + n * matrices;
  const double expanded = pairs * static_cast<double>(s.nope + s.rotary + s.value) + keys * matrices;
  return expanded < latent;
}

void MlaPlan::add_run(const SeqRows& seq) {
  for (int32_t row = seq.first_row; row < seq.first_row + seq.n_rows;) {
    const int32_t left = seq.first_row + seq.n_rows - row;
    const bool grows = !runs_.empty() && runs_.back().row0 + runs_.back().n_rows == row &&
                       runs_.back().n_rows < static_cast<int32_t>(kRunRows);
    if (!grows) runs_.push_back({row, 0});
    const int32_t take = std::min(left, static_cast<int32_t>(kRunRows) - runs_.back().n_rows);
    runs_.back().n_rows += take;
    row += take;
  }
}

void MlaPlan::add_latent(const SeqRows& seq, int32_t index, int32_t n_pieces) {
  for (int32_t at = 0; at < seq.n_rows; at += static_cast<int32_t>(rows_)) {
    const int32_t n_rows = std::min(static_cast<int32_t>(rows_), seq.n_rows - at);
    const int32_t pages = (seq.pos + at + n_rows - 1) / kPageTokens + 1;
    const int32_t pieces =
        std::clamp<int32_t>(n_pieces, 1, std::max<int32_t>(1, pages / static_cast<int32_t>(kSplitPages)));
    split_ |= pieces > 1;
    for (int32_t head = 0; head < spec_.heads; head += static_cast<int32_t>(heads_))
      for (int32_t p = 0; p < pieces; ++p)
        latent_.push_back(
            {index, head, seq.first_row + at, n_rows, pages * p / pieces, pages * (p + 1) / pieces, p, pieces});
  }
}

void MlaPlan::add_expanded(const SeqRows& seq, int32_t index) {
  // The last rows see the most keys: they come first.
  constexpr auto kRows = static_cast<int32_t>(kExpandRows);
  for (int32_t at = (seq.n_rows - 1) / kRows * kRows; at >= 0; at -= kRows)
    for (int32_t head = 0; head < spec_.heads; ++head)
      expanded_.push_back({index, head, seq.first_row + at, std::min(kRows, seq.n_rows - at)});
}

void MlaPlan::prepare(const StepCtx& ctx) {
  latent_.clear();
  expanded_.clear();
  runs_.clear();
  split_ = false;
  const auto& seqs = ctx.batch->seqs;
  int64_t blocks = 0;
  for (const SeqRows& seq : seqs)
    blocks +=
        expands(spec_, seq.pos, seq.n_rows) ? spec_.heads : (seq.n_rows + rows_ - 1) / rows_ * (spec_.heads / heads_);
  const int64_t wanted = kTasksPerMember * threads_;
  const int32_t pieces =
      threads_ > 1 && blocks < wanted ? static_cast<int32_t>((wanted + blocks - 1) / std::max<int64_t>(blocks, 1)) : 1;
  for (size_t s = 0; s < seqs.size(); ++s) {
    const SeqRows& seq = seqs[s];
    if (expands(spec_, seq.pos, seq.n_rows)) {
      add_expanded(seq, static_cast<int32_t>(s));
    } else {
      add_latent(seq, static_cast<int32_t>(s), pieces);
      add_run(seq);
    }
  }
}

}  // namespace tenon::cpu
