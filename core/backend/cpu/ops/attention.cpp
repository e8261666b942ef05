// tenon.attention/1 with the rotations of q and k folded in. Append phase, barrier, then tasks that pass once over the
// pages of a kv head for all query heads of its group, with a running softmax. A step whose tasks hold all their
// sequence's new rows appends inside the task and needs no barrier; few tasks over long contexts split the context and
// join the parts after a barrier. A row's bits do not depend on the batch, except that a split context is summed in
// parts.
#include "backend/cpu/ops/attention.hpp"

#include <algorithm>
#include <cmath>

#include "backend/cpu/ops/rope_table.hpp"
#include "backend/cpu/state_pool.hpp"
#include "base/error.hpp"
#include "graph/catalogue.hpp"

namespace tenon::cpu {

namespace {

class AttentionOp final : public CpuOp {
 public:
  AttentionOp(CompileCtx& ctx, const FusedNode& fused);
  void prepare(const StepCtx& ctx) override { plan_.prepare(ctx); }
  void run(const StepCtx& ctx, const Team& team) override;
  std::string explain() const override { return explain_; }

 private:
  /// A member's buffers, all within its scratch.
  struct Buffers {
    float *q, *max, *sum, *acc, *s, *kf, *vf, *k_row, *bias;
    int32_t *lo, *hi;
  };
  Buffers carve(std::byte* at, uint64_t* total = nullptr) const;
  uint64_t part_floats() const { return static_cast<uint64_t>(plan_.max_queries() * (dv_pad_ + 2)); }
  void append(const StepCtx& ctx, const SeqRows& seq, int64_t head, int64_t row0, int64_t n_rows, float* k_row) const;
  void append_all(const StepCtx& ctx, const Team& team, float* k_row) const;
  AttnTile load_queries(const StepCtx& ctx, const AttentionTask& task, const Buffers& b) const;
  void attend(const StepCtx& ctx, const AttentionTask& task, const AttnTile& tile, float* bias) const;
  void fill_bias(int64_t head, int64_t key0, float* bias) const;
  void finish(const AttentionTask& task, const AttnTile& tile) const;
  void save_part(float* part, const AttnTile& tile) const;
  void join_parts(const StepCtx& ctx, size_t first_task, const Buffers& b) const;

  Val q_, k_, v_, y_;
  const float* sinks_ = nullptr;
  RopeTable *rope_q_ = nullptr, *rope_k_ = nullptr;
  AttentionSpec spec_;
  StateId state_;
  int64_t heads_, kv_heads_, group_, dk_, dv_, dv_pad_;
  bool half_;
  AttentionPlan plan_;
  std::string explain_;
  const VectorKernels& kernels_;
};

AttentionOp::AttentionOp(CompileCtx& ctx, const FusedNode& fused)
    : q_(ctx.value(fused.node.inputs[0])),
      k_(ctx.value(fused.node.inputs[1])),
      v_(ctx.value(fused.node.inputs[2])),
      y_(ctx.value(fused.node.outputs[0])),
      spec_(attention_spec(ctx.graph, fused.node)),
      state_(fused.node.states[0]),
      heads_(q_.rows_per_lead),
      kv_heads_(k_.rows_per_lead),
      group_(heads_ / kv_heads_),
      dk_(q_.width),
      dv_(v_.width),
      dv_pad_((dv_ + kValuePad - 1) / kValuePad * kValuePad),
      half_(!ctx.options.exact),
      plan_(kv_heads_, group_, spec_.window, ctx.options.max_tokens, ctx.options.max_seqs, ctx.threads),
      kernels_(ctx.vector_kernels(fused.node.op, &explain_)) {
  if (fused.node.inputs.size() > 3) sinks_ = ctx.weight_f32(fused.node.inputs[3]);
  if (fused.rope_q) rope_q_ = &ctx.rope_table(*fused.rope_q);
  if (fused.rope_k) rope_k_ = &ctx.rope_table(*fused.rope_k);
  explain_ =
      fmt::format("paged {} kv, {}{}", half_ ? "f16" : "f32", explain_, rope_q_ || rope_k_ ? " + tenon.rope/1" : "");
  uint64_t own = 0;
  carve(nullptr, &own);
  ctx.need_private(own);
  ctx.need_shared(plan_.max_split_tasks() * part_floats() * 4);
}

AttentionOp::Buffers AttentionOp::carve(std::byte* at, uint64_t* total) const {
  uint64_t used = 0;
  const auto take = [&](int64_t n) {
    std::byte* p = at ? at + used : nullptr;
    used += align64(static_cast<uint64_t>(n) * 4);
    return p;
  };
  const auto floats = [&](int64_t n) { return reinterpret_cast<float*>(take(n)); };
  const int64_t nq = plan_.max_queries();
  Buffers b;
  b.q = floats(nq * dk_);
  b.max = floats(nq);
  b.sum = floats(nq);
  b.acc = floats(nq * dv_pad_);
  b.s = floats(nq * kPageTokens);
  b.kf = floats(dk_ * kPageTokens);
  b.vf = floats(dv_pad_ * kPageTokens);
  b.k_row = floats(dk_);
  b.bias = spec_.alibi.empty() ? nullptr : floats(group_ * kPageTokens);
  b.lo = reinterpret_cast<int32_t*>(take(nq));
  b.hi = reinterpret_cast<int32_t*>(take(nq));
  if (total) *total = used;
  return b;
}

/// Rows [row0, row0 + n_rows) of the step, which belong to seq, go into the pages of one kv head.
void AttentionOp::append(const StepCtx& ctx, const SeqRows& seq, int64_t head, int64_t row0, int64_t n_rows,
                         float* k_row) const {
  const CpuStatePool::Layout& at = ctx.states->layout(state_);
  for (int64_t row = row0; row < row0 + n_rows; ++row) {
    const int64_t pos = seq.pos + (row - seq.first_row), slot = pos % kPageTokens;
    std::byte* page = ctx.states->head(at, seq.pages[at.group][static_cast<size_t>(pos / kPageTokens)], head);
    const float* k = k_.f32() + (row * kv_heads_ + head) * dk_;
    if (rope_k_) {
      kernels_.rope(k, rope_k_->cos(row), rope_k_->sin(row), rope_k_->n_rot(), rope_k_->interleaved(), 1.f, k_row, dk_);
      k = k_row;
    }
    kernels_.store_key(k, dk_, slot, half_, page);
    kernels_.store_value(v_.f32() + (row * kv_heads_ + head) * dv_, dv_, dv_pad_, slot, half_, page + at.value_offset);
  }
}

void AttentionOp::append_all(const StepCtx& ctx, const Team& team, float* k_row) const {
  // A page and head belong to one piece as far as possible: 32 rows of one head are written by one member.
  const int64_t blocks = (ctx.n_tokens + kPageTokens - 1) / kPageTokens;
  team.for_each(blocks * kv_heads_, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row0 = i / kv_heads_ * kPageTokens, row1 = std::min(row0 + kPageTokens, ctx.n_tokens);
      for (const SeqRows& seq : ctx.batch->seqs) {
        const int64_t from = std::max<int64_t>(row0, seq.first_row),
                      to = std::min<int64_t>(row1, seq.first_row + seq.n_rows);
        if (from < to) append(ctx, seq, i % kv_heads_, from, to - from, k_row);
      }
    }
  });
}

/// The task's queries, row by row and within a row head by head of the group: rotated, scaled, with their visible keys.
AttnTile AttentionOp::load_queries(const StepCtx& ctx, const AttentionTask& task, const Buffers& b) const {
  const SeqRows& seq = ctx.batch->seqs[static_cast<size_t>(task.seq)];
  for (int64_t r = 0; r < task.n_rows; ++r) {
    const int64_t row = task.row0 + r, pos = seq.pos + (row - seq.first_row);
    const float* q = q_.f32() + (row * heads_ + task.head * group_) * dk_;
    for (int64_t h = 0; h < group_; ++h) {
      const int64_t i = r * group_ + h;
      if (rope_q_)
        kernels_.rope(q + h * dk_, rope_q_->cos(row), rope_q_->sin(row), rope_q_->n_rot(), rope_q_->interleaved(),
                      spec_.scale, b.q + i * dk_, dk_);
      else
        kernels_.scale_shift(q + h * dk_, spec_.scale, 0, b.q + i * dk_, dk_);
      b.hi[i] = static_cast<int32_t>(pos);
      b.lo[i] = static_cast<int32_t>(spec_.window > 0 ? std::max<int64_t>(0, pos - spec_.window + 1) : 0);
    }
  }
  return {task.n_rows * group_,
          dk_,
          dv_pad_,
          spec_.softcap,
          half_,
          b.q,
          b.lo,
          b.hi,
          b.max,
          b.sum,
          b.acc,
          b.s,
          b.kf,
          b.vf,
          b.bias,
          group_};
}

/// What alibi adds to the scores of a kv head's queries on the page that begins at position key0.
void AttentionOp::fill_bias(int64_t head, int64_t key0, float* bias) const {
  for (int64_t h = 0; h < group_; ++h) {
    const float slope = spec_.alibi[static_cast<size_t>(head * group_ + h)];
    for (int64_t i = 0; i < kPageTokens; ++i) bias[h * kPageTokens + i] = spec_.scale * alibi_bias(slope, key0 + i);
  }
}

void AttentionOp::attend(const StepCtx& ctx, const AttentionTask& task, const AttnTile& tile, float* bias) const {
  const CpuStatePool::Layout& at = ctx.states->layout(state_);
  const SeqRows& seq = ctx.batch->seqs[static_cast<size_t>(task.seq)];
  const int64_t last = seq.pos + (task.row0 - seq.first_row) + task.n_rows;  // keys there are, for this block
  kernels_.attn_begin(tile);
  for (int32_t p = task.page0; p < task.page1; ++p) {
    const std::byte* page = ctx.states->head(at, seq.pages[at.group][static_cast<size_t>(p)], task.head);
    const int64_t key0 = static_cast<int64_t>(p) * kPageTokens;
    if (bias) fill_bias(task.head, key0, bias);
    kernels_.attn_page(tile, page, page + at.value_offset, key0, std::min<int64_t>(kPageTokens, last - key0));
  }
}

/// Divides by the sum, the sink's share included, and writes the rows.
void AttentionOp::finish(const AttentionTask& task, const AttnTile& tile) const {
  for (int64_t i = 0; i < tile.nq; ++i) {
    const int64_t head = task.head * group_ + i % group_, row = task.row0 + i / group_;
    float scale = 1, sum = tile.sum[i];
    if (sinks_) {
      const float top = std::max(tile.max[i], sinks_[head]);
      scale = std::exp(tile.max[i] - top);
      sum = sum * scale + std::exp(sinks_[head] - top);
    }
    kernels_.scale_shift(tile.acc + i * dv_pad_, sum > 0 ? scale / sum : 0, 0, y_.f32() + (row * heads_ + head) * dv_,
                         dv_);
  }
}

void AttentionOp::save_part(float* part, const AttnTile& tile) const {
  std::copy_n(tile.max, tile.nq, part);
  std::copy_n(tile.sum, tile.nq, part + plan_.max_queries());
  std::copy_n(tile.acc, tile.nq * dv_pad_, part + 2 * plan_.max_queries());
}

/// Joins the pieces of one block's context, in the order of its pages.
void AttentionOp::join_parts(const StepCtx& ctx, size_t first_task, const Buffers& b) const {
  const AttentionTask& task = plan_.tasks()[first_task];
  const int64_t nq = task.n_rows * group_;
  const float* parts = reinterpret_cast<const float*>(ctx.shared);
  const AttnTile tile{nq, dk_, dv_pad_, 0, half_, b.q, b.lo, b.hi, b.max, b.sum, b.acc, b.s, b.kf, b.vf};
  kernels_.attn_begin(tile);
  for (int64_t i = 0; i < nq; ++i) {
    for (int32_t p = 0; p < task.n_pieces; ++p)
      b.max[i] =
          std::max(b.max[i], parts[(first_task + static_cast<size_t>(p)) * part_floats() + static_cast<size_t>(i)]);
    for (int32_t p = 0; p < task.n_pieces; ++p) {
      const float* part = parts + (first_task + static_cast<size_t>(p)) * part_floats();
      if (part[i] == -INFINITY) continue;
      const float w = std::exp(part[i] - b.max[i]);
      b.sum[i] += w * part[plan_.max_queries() + i];
      kernels_.axpy(w, part + 2 * plan_.max_queries() + i * dv_pad_, b.acc + i * dv_pad_, dv_pad_);
    }
  }
  finish(task, tile);
}

void AttentionOp::run(const StepCtx& ctx, const Team& team) {
  const Buffers b = carve(ctx.mine(team));
  if (!plan_.self_contained()) {
    append_all(ctx, team, b.k_row);
    team.barrier();
  }
  const std::vector<AttentionTask>& tasks = plan_.tasks();
  team.for_each(static_cast<int64_t>(tasks.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const AttentionTask& task = tasks[static_cast<size_t>(t)];
      if (plan_.self_contained())
        append(ctx, ctx.batch->seqs[static_cast<size_t>(task.seq)], task.head, task.row0, task.n_rows, b.k_row);
      const AttnTile tile = load_queries(ctx, task, b);
      attend(ctx, task, tile, b.bias);
      if (task.n_pieces == 1)
        finish(task, tile);
      else
        save_part(reinterpret_cast<float*>(ctx.shared) + static_cast<uint64_t>(t) * part_floats(), tile);
    }
  });
  if (!plan_.split()) return;
  team.barrier();
  team.for_each(static_cast<int64_t>(tasks.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const AttentionTask& task = tasks[static_cast<size_t>(t)];
      if (task.n_pieces > 1 && task.piece == 0) join_parts(ctx, static_cast<size_t>(t), b);
    }
  });
}

}  // namespace

std::unique_ptr<CpuOp> make_attention(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<AttentionOp>(ctx, fused);
}

}  // namespace tenon::cpu
