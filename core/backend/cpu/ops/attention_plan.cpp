// Tasks of attention.
#include <algorithm>

#include "backend/cpu/ops/attention.hpp"

namespace tenon::cpu {

namespace {
constexpr int64_t kBlockQueries = 32;   // query rows times heads of a group that share one pass over K and V
constexpr int64_t kSplitPages = 16;     // a context is shared out in pieces of at least this many pages
constexpr int64_t kTasksPerMember = 2;  // with fewer tasks than this, long contexts are split
}  // namespace

AttentionPlan::AttentionPlan(int64_t kv_heads, int64_t group, int64_t window, int64_t max_tokens, int64_t max_seqs,
                             int threads)
    : kv_heads_(kv_heads),
      group_(group),
      window_(window),
      block_rows_(std::max<int64_t>(1, kBlockQueries / group)),
      threads_(threads),
      max_split_tasks_(static_cast<size_t>(2 * kTasksPerMember * threads)) {
  const int64_t blocks = std::min(max_tokens, max_tokens / block_rows_ + max_seqs + 1);
  tasks_.reserve(static_cast<size_t>(blocks * kv_heads) + max_split_tasks_);
}

void AttentionPlan::add_block(const SeqRows& seq, int32_t index, int32_t row0, int32_t n_rows, int32_t n_pieces) {
  const int64_t first_pos = seq.pos + (row0 - seq.first_row), last_pos = first_pos + n_rows - 1;
  const int64_t first_key = window_ > 0 ? std::max<int64_t>(0, first_pos - window_ + 1) : 0;
  const int32_t page0 = static_cast<int32_t>(first_key / kPageTokens);
  const int32_t page1 = static_cast<int32_t>(last_pos / kPageTokens + 1), pages = page1 - page0;
  n_pieces = std::clamp<int32_t>(n_pieces, 1, std::max<int32_t>(1, pages / static_cast<int32_t>(kSplitPages)));
  split_ |= n_pieces > 1;
  for (int32_t head = 0; head < kv_heads_; ++head)
    for (int32_t p = 0; p < n_pieces; ++p)
      tasks_.push_back(
          {index, head, row0, n_rows, page0 + pages * p / n_pieces, page0 + pages * (p + 1) / n_pieces, p, n_pieces});
}

void AttentionPlan::prepare(const StepCtx& ctx) {
  tasks_.clear();
  split_ = false;
  self_contained_ = true;
  const auto& seqs = ctx.batch->seqs;
  int64_t blocks = 0;
  for (const SeqRows& seq : seqs) blocks += (seq.n_rows + block_rows_ - 1) / block_rows_;
  const int64_t wanted = kTasksPerMember * threads_, have = std::max<int64_t>(1, blocks * kv_heads_);
  const int32_t pieces = threads_ > 1 && have < wanted ? static_cast<int32_t>((wanted + have - 1) / have) : 1;
  for (size_t s = 0; s < seqs.size(); ++s) {
    const SeqRows& seq = seqs[s];
    if (seq.n_rows > block_rows_) self_contained_ = false;
    for (int32_t at = 0; at < seq.n_rows; at += static_cast<int32_t>(block_rows_))
      add_block(seq, static_cast<int32_t>(s), seq.first_row + at,
                std::min(static_cast<int32_t>(block_rows_), seq.n_rows - at), pieces);
  }
  if (split_) self_contained_ = false;
}

}  // namespace tenon::cpu
