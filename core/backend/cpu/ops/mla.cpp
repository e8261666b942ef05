// tenon.mla_attention/1 with the rotations of q_pe and k_pe folded in. The rows of the step are appended and the
// queries of sequences that attend in the latent space are taken there; barrier; tasks of both kinds (mla_plan.hpp),
// where split contexts are joined after another barrier; then latent results meet v_b, which expanded ones have met
// already.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "backend/cpu/ops/mla_expanded.hpp"
#include "base/error.hpp"

namespace tenon::cpu {

MlaParts::MlaParts(CompileCtx& ctx, const FusedNode& fused, std::string* explanation)
    : nope(ctx.value(fused.node.inputs[0])),
      pe(ctx.value(fused.node.inputs[1])),
      c(ctx.value(fused.node.inputs[2])),
      k_pe(ctx.value(fused.node.inputs[3])),
      y(ctx.value(fused.node.outputs[0])),
      spec(mla_spec(ctx.graph, fused.node)),
      state(fused.node.states[0]),
      width(spec.latent + spec.rotary),
      row_pad(pad16(width)),
      latent_pad(pad16(spec.latent)),
      value_pad(pad16(spec.value)),
      half(!ctx.options.exact),
      exact(ctx.options.exact),
      kernels(ctx.vector_kernels(fused.node.op, explanation)) {
  if (fused.rope_q) rope_q = &ctx.rope_table(*fused.rope_q);
  if (fused.rope_k) rope_k = &ctx.rope_table(*fused.rope_k);
}

void MlaParts::turn(const RopeTable* table, int64_t row, const float* x, float scale, float* y_out) const {
  if (table)
    kernels.rope(x, table->cos(row), table->sin(row), table->n_rot(), table->interleaved(), scale, y_out, spec.rotary);
  else
    kernels.scale_shift(x, scale, 0, y_out, spec.rotary);
}

std::byte* MlaParts::kept_row(const StepCtx& ctx, const SeqRows& seq, int64_t p) const {
  const CpuStatePool::Layout& at = ctx.states->layout(state);
  std::byte* page = ctx.states->head(at, seq.pages[at.group][static_cast<size_t>(p / kPageTokens)], 0);
  return page + static_cast<uint64_t>(p % kPageTokens) * row_bytes();
}

namespace {

class MlaOp final : public CpuOp {
 public:
  MlaOp(CompileCtx& ctx, const FusedNode& fused);
  void prepare(const StepCtx& ctx) override { plan_.prepare(ctx); }
  void run(const StepCtx& ctx, const Team& team) override;
  std::string explain() const override { return explain_; }

 private:
  struct Buffers {
    Softmax soft;
    float* rows;  // [kPageTokens][row_pad]
  };
  Buffers carve(Carver& c) const;
  AttnTile tile_of(const LatentTask& task, std::byte* scratch) const;
  void append(const StepCtx& ctx, const Team& team) const;
  void absorb(const StepCtx& ctx, const Team& team) const;
  void attend(const StepCtx& ctx, size_t index, std::byte* scratch) const;
  void finish(const StepCtx& ctx, const LatentTask& task, const AttnTile& tile) const;
  void join_parts(const StepCtx& ctx, size_t index, std::byte* scratch) const;
  void output(const StepCtx& ctx, const Team& team) const;
  float* part(const StepCtx& ctx, size_t index) const {
    return reinterpret_cast<float*>(ctx.shared + parts_at_) + static_cast<int64_t>(index) * part_floats();
  }
  int64_t part_floats() const { return plan_.max_queries() * (p_.latent_pad + 2); }

  std::string explain_;
  MlaParts p_;
  MlaPlan plan_;
  HeadProduct k_b_, v_b_;
  MlaExpanded expanded_;
  uint64_t context_at_ = 0, parts_at_ = 0;  // in the shared scratch, after the queries
};

MlaOp::MlaOp(CompileCtx& ctx, const FusedNode& fused)
    : p_(ctx, fused, &explain_),
      plan_(p_.spec, ctx.options, ctx.threads),
      k_b_(ctx, fused.node.inputs[4], MlaPlan::kRunRows),
      v_b_(ctx, fused.node.inputs[5], MlaPlan::kRunRows),
      expanded_(ctx, p_, k_b_, v_b_, plan_.max_expand_rows()) {
  explain_ = fmt::format("paged {} rows of {}, {}{}; k_b{} {}; v_b {}", p_.half ? "f16" : "f32", p_.width, explain_,
                         p_.rope_q || p_.rope_k ? " + tenon.rope/1" : "", p_.spec.k_b_transposed ? " transposed" : "",
                         k_b_.explain(), v_b_.explain());
  Carver latent(nullptr);
  carve(latent);
  ctx.need_private(std::max({latent.used(), expanded_.scratch_bytes(), k_b_.scratch_bytes(), v_b_.scratch_bytes()}));
  const int64_t rows = ctx.options.max_tokens * p_.spec.heads;
  context_at_ = align64(static_cast<uint64_t>(rows * p_.row_pad) * 4);
  parts_at_ = context_at_ + align64(static_cast<uint64_t>(rows * p_.spec.latent) * 4);
  ctx.need_shared(parts_at_ + plan_.max_split_tasks() * static_cast<uint64_t>(part_floats()) * 4);
}

MlaOp::Buffers MlaOp::carve(Carver& c) const {
  Buffers b;
  b.soft = carve_softmax(c, plan_.max_queries(), p_.row_pad, p_.latent_pad);
  b.rows = c.floats(kPageTokens * p_.row_pad);
  return b;
}

AttnTile MlaOp::tile_of(const LatentTask& task, std::byte* scratch) const {
  Carver carver(scratch);
  const Buffers b = carve(carver);
  const Softmax& s = b.soft;
  return {task.n_rows * plan_.heads_per_task(),
          p_.row_pad,
          p_.latent_pad,
          0,
          p_.half,
          s.q,
          s.lo,
          s.hi,
          s.max,
          s.sum,
          s.acc,
          s.s,
          b.rows,
          nullptr};
}

void MlaOp::append(const StepCtx& ctx, const Team& team) const {
  const int64_t L = p_.spec.latent, R = p_.spec.rotary;
  float* row = reinterpret_cast<float*>(ctx.mine(team));
  team.for_each(ctx.n_tokens, 4, [&](int64_t begin, int64_t end) {
    for (const SeqRows& seq : ctx.batch->seqs) {
      const int64_t from = std::max<int64_t>(begin, seq.first_row),
                    to = std::min<int64_t>(end, seq.first_row + seq.n_rows);
      for (int64_t t = from; t < to; ++t) {
        std::memcpy(row, p_.c.f32() + t * L, static_cast<size_t>(L) * 4);
        p_.turn(p_.rope_k, t, p_.k_pe.f32() + t * R, 1, row + L);
        p_.kernels.store_row(row, p_.width, p_.half, p_.kept_row(ctx, seq, seq.pos + (t - seq.first_row)));
      }
    }
  });
}

/// Queries [q_nope k_b | q_pe] of the rows that stay in the latent space, padded with zeros.
void MlaOp::absorb(const StepCtx& ctx, const Team& team) const {
  const std::vector<LatentRun>& runs = plan_.runs();
  const int64_t H = p_.spec.heads, N = p_.spec.nope, stride = H * p_.row_pad;
  team.for_each(static_cast<int64_t>(runs.size()) * H, 1, [&](int64_t i, int64_t) {
    const LatentRun& run = runs[static_cast<size_t>(i / H)];
    const int64_t h = i % H, first = run.row0 * H + h;
    const float* x = p_.nope.f32() + first * N;
    float* q = reinterpret_cast<float*>(ctx.shared) + first * p_.row_pad;
    if (p_.spec.k_b_transposed)
      k_b_.run(h, x, H * N, run.n_rows, q, stride, ctx.mine(team));
    else
      k_b_.run_transposed(h, x, H * N, run.n_rows, q, stride, ctx.mine(team));
    for (int64_t r = 0; r < run.n_rows; ++r, q += stride) {
      p_.turn(p_.rope_q, run.row0 + r, p_.pe.f32() + (first + r * H) * p_.spec.rotary, 1, q + p_.spec.latent);
      std::fill(q + p_.width, q + p_.row_pad, 0.f);
    }
  });
}

void MlaOp::attend(const StepCtx& ctx, size_t index, std::byte* scratch) const {
  const LatentTask& task = plan_.latent()[index];
  const SeqRows& seq = ctx.batch->seqs[static_cast<size_t>(task.seq)];
  const AttnTile tile = tile_of(task, scratch);
  Carver carver(scratch);
  const Softmax soft = carve(carver).soft;
  const float* queries = reinterpret_cast<const float*>(ctx.shared);
  const int64_t heads = plan_.heads_per_task(), first_pos = seq.pos + (task.row0 - seq.first_row);
  for (int64_t i = 0; i < tile.nq; ++i) {
    const int64_t at = (task.row0 + i / heads) * p_.spec.heads + task.head0 + i % heads;
    p_.kernels.scale_shift(queries + at * p_.row_pad, p_.spec.scale, 0, soft.q + i * p_.row_pad, p_.row_pad);
    soft.lo[i] = 0;
    soft.hi[i] = static_cast<int32_t>(first_pos + i / heads);
  }
  p_.kernels.attn_begin(tile);
  for (int64_t p = task.page0; p < task.page1; ++p)
    p_.kernels.latent_page(tile, p_.kept_row(ctx, seq, p * kPageTokens), p_.width, p * kPageTokens,
                           std::min<int64_t>(kPageTokens, first_pos + task.n_rows - p * kPageTokens));
  if (task.n_pieces == 1) return finish(ctx, task, tile);
  float* to = part(ctx, index);
  std::copy_n(tile.max, tile.nq, to);
  std::copy_n(tile.sum, tile.nq, to + plan_.max_queries());
  std::copy_n(tile.acc, tile.nq * p_.latent_pad, to + 2 * plan_.max_queries());
}

void MlaOp::finish(const StepCtx& ctx, const LatentTask& task, const AttnTile& tile) const {
  const int64_t heads = plan_.heads_per_task();
  float* context = reinterpret_cast<float*>(ctx.shared + context_at_);
  for (int64_t i = 0; i < tile.nq; ++i) {
    const int64_t at = (task.row0 + i / heads) * p_.spec.heads + task.head0 + i % heads;
    p_.kernels.scale_shift(tile.acc + i * p_.latent_pad, tile.sum[i] > 0 ? 1 / tile.sum[i] : 0, 0,
                           context + at * p_.spec.latent, p_.spec.latent);
  }
}

/// Joins the pieces of one task's context, in the order of its pages.
void MlaOp::join_parts(const StepCtx& ctx, size_t index, std::byte* scratch) const {
  const LatentTask& task = plan_.latent()[index];
  const AttnTile tile = tile_of(task, scratch);
  const int64_t nq = plan_.max_queries();
  p_.kernels.attn_begin(tile);
  for (int64_t i = 0; i < tile.nq; ++i) {
    for (int32_t k = 0; k < task.n_pieces; ++k)
      tile.max[i] = std::max(tile.max[i], part(ctx, index + static_cast<size_t>(k))[i]);
    for (int32_t k = 0; k < task.n_pieces; ++k) {
      const float* from = part(ctx, index + static_cast<size_t>(k));
      if (from[i] == -INFINITY) continue;
      const float w = std::exp(from[i] - tile.max[i]);
      tile.sum[i] += w * from[nq + i];
      p_.kernels.axpy(w, from + 2 * nq + i * p_.latent_pad, tile.acc + i * p_.latent_pad, p_.latent_pad);
    }
  }
  finish(ctx, task, tile);
}

void MlaOp::output(const StepCtx& ctx, const Team& team) const {
  const std::vector<LatentRun>& runs = plan_.runs();
  const int64_t H = p_.spec.heads, L = p_.spec.latent, V = p_.spec.value;
  const float* context = reinterpret_cast<const float*>(ctx.shared + context_at_);
  team.for_each(static_cast<int64_t>(runs.size()) * H, 1, [&](int64_t i, int64_t) {
    const LatentRun& run = runs[static_cast<size_t>(i / H)];
    const int64_t h = i % H, first = run.row0 * H + h;
    v_b_.run(h, context + first * L, H * L, run.n_rows, p_.y.f32() + first * V, H * V, ctx.mine(team));
  });
}

void MlaOp::run(const StepCtx& ctx, const Team& team) {
  append(ctx, team);
  absorb(ctx, team);
  team.barrier();
  const auto n_expanded = static_cast<int64_t>(plan_.expanded().size());
  const auto n_latent = static_cast<int64_t>(plan_.latent().size());
  team.for_each(n_expanded + n_latent, 1, [&](int64_t i, int64_t) {
    if (i < n_expanded)
      expanded_.attend(ctx, plan_.expanded()[static_cast<size_t>(i)], ctx.mine(team));
    else
      attend(ctx, static_cast<size_t>(i - n_expanded), ctx.mine(team));
  });
  if (n_latent == 0) return;
  if (plan_.split()) {
    team.barrier();
    team.for_each(n_latent, 1, [&](int64_t i, int64_t) {
      const LatentTask& task = plan_.latent()[static_cast<size_t>(i)];
      if (task.n_pieces > 1 && task.piece == 0) join_parts(ctx, static_cast<size_t>(i), ctx.mine(team));
    });
  }
  team.barrier();
  output(ctx, team);
}

}  // namespace

std::unique_ptr<CpuOp> make_mla_attention(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<MlaOp>(ctx, fused);
}

}  // namespace tenon::cpu
