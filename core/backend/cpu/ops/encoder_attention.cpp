// tenon.encoder_attention/1: all rows of a sequence are in the step, so keys and values go from their rows into pages
// of scratch, in the form that the kernels of cached attention want; after a barrier, tasks of (sequence, kv head,
// block of query rows) pass once over the pages that their rows see. Always f32: nothing outlives the step.
#include <algorithm>

#include "backend/cpu/op.hpp"
#include "backend/cpu/state_pool.hpp"
#include "base/error.hpp"
#include "graph/catalogue.hpp"

namespace tenon::cpu {

namespace {

constexpr int64_t kBlockQueries = 32;  // query rows times heads of a group that share one pass over the keys

class EncoderAttentionOp final : public CpuOp {
 public:
  EncoderAttentionOp(CompileCtx& ctx, const FusedNode& fused);
  void prepare(const StepCtx& ctx) override;
  void run(const StepCtx& ctx, const Team& team) override;
  std::string explain() const override { return why_; }

 private:
  struct Page {
    int32_t first_row, n_rows;  // of the step
  };
  struct Task {
    int32_t seq_row, seq_rows, seq_page;  // the sequence's rows of the step, and its first page
    int32_t head, row, n_rows;            // kv head; rows of the sequence
  };
  /// A member's buffers, all within its scratch.
  struct Buffers {
    float *q, *max, *sum, *acc, *s;
    int32_t *lo, *hi;
  };
  Buffers carve(std::byte* at, uint64_t* total = nullptr) const;
  float* page(const StepCtx& ctx, int64_t index, int64_t head) const {
    return reinterpret_cast<float*>(ctx.shared) + (index * kv_heads_ + head) * page_floats_;
  }
  void pack(const Page& page, int64_t head, float* to) const;
  AttnTile load_queries(const Task& task, const Buffers& b) const;
  void attend(const StepCtx& ctx, const Task& task, const Buffers& b) const;

  Val q_, k_, v_, y_;
  EncoderAttentionSpec spec_;
  int64_t heads_, kv_heads_, group_, dk_, dv_, dv_pad_, page_floats_, block_rows_;
  std::string why_;
  const VectorKernels& kernels_;
  std::vector<Page> pages_;  // of the step; storage of fixed size
  std::vector<Task> tasks_;
};

EncoderAttentionOp::EncoderAttentionOp(CompileCtx& ctx, const FusedNode& fused)
    : q_(ctx.value(fused.node.inputs[0])),
      k_(ctx.value(fused.node.inputs[1])),
      v_(ctx.value(fused.node.inputs[2])),
      y_(ctx.value(fused.node.outputs[0])),
      spec_(encoder_attention_spec(fused.node)),
      heads_(q_.rows_per_lead),
      kv_heads_(k_.rows_per_lead),
      group_(heads_ / kv_heads_),
      dk_(q_.width),
      dv_(v_.width),
      dv_pad_((dv_ + kValuePad - 1) / kValuePad * kValuePad),
      page_floats_((dk_ + dv_pad_) * kPageTokens),
      block_rows_(std::max<int64_t>(1, kBlockQueries / group_)),
      kernels_(ctx.vector_kernels(fused.node.op, &why_)) {
  const int64_t tokens = ctx.options.max_tokens, seqs = std::min(ctx.options.max_seqs, tokens);
  const int64_t pages = tokens / kPageTokens + seqs;
  pages_.reserve(static_cast<size_t>(pages));
  tasks_.reserve(static_cast<size_t>((tokens / block_rows_ + seqs) * kv_heads_));
  uint64_t own = 0;
  carve(nullptr, &own);
  ctx.need_private(own);
  ctx.need_shared(static_cast<uint64_t>(pages * kv_heads_ * page_floats_) * 4);
}

EncoderAttentionOp::Buffers EncoderAttentionOp::carve(std::byte* at, uint64_t* total) const {
  uint64_t used = 0;
  const auto take = [&](int64_t n) {
    std::byte* p = at ? at + used : nullptr;
    used += align64(static_cast<uint64_t>(n) * 4);
    return p;
  };
  const auto floats = [&](int64_t n) { return reinterpret_cast<float*>(take(n)); };
  const int64_t nq = block_rows_ * group_;
  Buffers b;
  b.q = floats(nq * dk_);
  b.max = floats(nq);
  b.sum = floats(nq);
  b.acc = floats(nq * dv_pad_);
  b.s = floats(nq * kPageTokens);
  b.lo = reinterpret_cast<int32_t*>(take(nq));
  b.hi = reinterpret_cast<int32_t*>(take(nq));
  if (total) *total = used;
  return b;
}

void EncoderAttentionOp::prepare(const StepCtx& ctx) {
  pages_.clear();
  tasks_.clear();
  for (const SeqRows& seq : ctx.batch->seqs) {
    if (seq.pos != 0) fail(ErrorCode::internal, "[tenon.encoder_attention/1] rows from position {} on", seq.pos);
    const auto first_page = static_cast<int32_t>(pages_.size());
    for (int32_t at = 0; at < seq.n_rows; at += kPageTokens)
      pages_.push_back({seq.first_row + at, std::min(kPageTokens, seq.n_rows - at)});
    const auto block = static_cast<int32_t>(block_rows_);
    for (int32_t head = 0; head < kv_heads_; ++head)
      for (int32_t at = 0; at < seq.n_rows; at += block)
        tasks_.push_back({seq.first_row, seq.n_rows, first_page, head, at, std::min(block, seq.n_rows - at)});
  }
}

void EncoderAttentionOp::pack(const Page& page, int64_t head, float* to) const {
  for (int32_t i = 0; i < page.n_rows; ++i) {
    const int64_t row = (page.first_row + i) * kv_heads_ + head;
    kernels_.store_key(k_.f32() + row * dk_, dk_, i, false, to);
    kernels_.store_value(v_.f32() + row * dv_, dv_, dv_pad_, i, false, to + dk_ * kPageTokens);
  }
}

/// The task's queries, row by row and within a row head by head of the group: scaled, with their visible keys.
AttnTile EncoderAttentionOp::load_queries(const Task& task, const Buffers& b) const {
  const int64_t last = task.seq_rows - 1, reach = spec_.radius < 0 ? last : std::min(spec_.radius, last);
  for (int64_t r = 0; r < task.n_rows; ++r) {
    const int64_t p = task.row + r;
    const float* q = q_.f32() + ((task.seq_row + p) * heads_ + task.head * group_) * dk_;
    for (int64_t i = r * group_; i < (r + 1) * group_; ++i, q += dk_) {
      kernels_.scale_shift(q, spec_.scale, 0, b.q + i * dk_, dk_);
      b.lo[i] = static_cast<int32_t>(std::max<int64_t>(0, p - reach));
      b.hi[i] = static_cast<int32_t>(std::min(last, p + reach));
    }
  }
  return {task.n_rows * group_,
          dk_,
          dv_pad_,
          spec_.softcap,
          false,
          b.q,
          b.lo,
          b.hi,
          b.max,
          b.sum,
          b.acc,
          b.s,
          nullptr,
          nullptr};
}

void EncoderAttentionOp::attend(const StepCtx& ctx, const Task& task, const Buffers& b) const {
  const AttnTile tile = load_queries(task, b);
  kernels_.attn_begin(tile);
  for (int64_t p = b.lo[0] / kPageTokens; p <= b.hi[tile.nq - 1] / kPageTokens; ++p) {
    const float* keys = page(ctx, task.seq_page + p, task.head);
    const int64_t key0 = p * kPageTokens, n_keys = std::min<int64_t>(kPageTokens, task.seq_rows - key0);
    kernels_.attn_page(tile, keys, keys + dk_ * kPageTokens, key0, n_keys);
  }
  for (int64_t i = 0; i < tile.nq; ++i) {
    const int64_t row = (task.seq_row + task.row + i / group_) * heads_ + task.head * group_ + i % group_;
    kernels_.scale_shift(tile.acc + i * dv_pad_, 1 / tile.sum[i], 0, y_.f32() + row * dv_, dv_);
  }
}

void EncoderAttentionOp::run(const StepCtx& ctx, const Team& team) {
  team.for_each(static_cast<int64_t>(pages_.size()) * kv_heads_, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      pack(pages_[static_cast<size_t>(i / kv_heads_)], i % kv_heads_, page(ctx, i / kv_heads_, i % kv_heads_));
  });
  team.barrier();
  const Buffers b = carve(ctx.mine(team));
  team.for_each(static_cast<int64_t>(tasks_.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) attend(ctx, tasks_[static_cast<size_t>(t)], b);
  });
}

}  // namespace

std::unique_ptr<CpuOp> make_encoder_attention(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<EncoderAttentionOp>(ctx, fused);
}

}  // namespace tenon::cpu
