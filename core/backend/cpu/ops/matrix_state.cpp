// tenon.ssd_scan/1, tenon.wkv6/1, tenon.wkv7/1 and tenon.gated_delta_rule/1: the columns of every head's matrix are
// independent of each other, so pieces of 32 columns are shared out, and each walks all rows of its sequence.
#include <algorithm>
#include <cstring>

#include "backend/cpu/op.hpp"
#include "backend/cpu/state_pool.hpp"
#include "graph/catalogue.hpp"

namespace tenon::cpu {

namespace {

constexpr int64_t kColumns = 32;       // of one piece: with 128 keys it stays in the first-level cache
constexpr int64_t kGrainElems = 4096;  // of state, below which a hand-out costs more than the work

/// An operand [T, H, D], [T, H], or a weight [H, D]: where the row of a head begins and how far the next token's is.
struct HeadRows {
  const float* data = nullptr;
  int64_t row = 0, head = 0, sharing = 1;  // sharing: heads that read the same row

  const float* at(int64_t token, int64_t h) const { return data + token * row + h / sharing * head; }
};

class MatrixStateOp final : public CpuOp {
 public:
  MatrixStateOp(CompileCtx& ctx, const FusedNode& fused)
      : state_(fused.node.states[0]), kernels_(ctx.vector_kernels(fused.node.op, &why_)) {
    const Node& node = fused.node;
    const Shape& shape = ctx.graph.state(state_).shape;
    heads_ = shape[0], keys_ = shape[1], values_ = shape[2];
    pieces_ = (values_ + kColumns - 1) / kColumns;
    y_ = ctx.value(node.outputs[0]).f32();
    if (node.op == "tenon.ssd_scan/1") bind_ssd(ctx, node);
    if (node.op == "tenon.wkv6/1") bind_wkv6(ctx, node);
    if (node.op == "tenon.wkv7/1") bind_wkv7(ctx, node);
    if (node.op == "tenon.gated_delta_rule/1") bind_delta(ctx, node);
  }

  void run(const StepCtx& ctx, const Team& team) override {
    const int64_t per_seq = heads_ * pieces_;
    const auto seqs = static_cast<int64_t>(ctx.batch->seqs.size());
    const int64_t rows = std::max<int64_t>(1, ctx.n_tokens / std::max<int64_t>(1, seqs));
    const int64_t grain = std::max<int64_t>(1, kGrainElems / (keys_ * std::min(kColumns, values_) * rows));
    team.for_each(per_seq * seqs, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const SeqRows& seq = ctx.batch->seqs[static_cast<size_t>(i / per_seq)];
        float* s = ctx.states->slot(ctx.states->layout(state_), seq.slot);
        piece(seq, s, i % per_seq / pieces_, i % pieces_ * kColumns);
      }
    });
  }
  std::string explain() const override { return why_; }

 private:
  HeadRows rows_of(CompileCtx& ctx, ValueId id) const {
    const GraphValue& value = ctx.graph.value(id);
    if (value.kind == ValueKind::weight) return {ctx.weight_f32(id), 0, value.shape[1]};
    const int64_t width = value.shape.size() > 2 ? value.shape[2] : 1;
    return {ctx.value(id).f32(), value.shape[1] * width, width, heads_ / value.shape[1]};
  }

  void bind_ssd(CompileCtx& ctx, const Node& node) {
    rule_ = kernels_.ssd_scan;
    v_ = rows_of(ctx, node.inputs[0]), beta_ = rows_of(ctx, node.inputs[1]);
    k_ = rows_of(ctx, node.inputs[3]), q_ = rows_of(ctx, node.inputs[4]);
    rate_ = ctx.weight_f32(node.inputs[2]);
    skip_ = node.inputs.size() > 5 ? ctx.weight_f32(node.inputs[5]) : nullptr;
  }
  void bind_wkv6(CompileCtx& ctx, const Node& node) {
    rule_ = kernels_.wkv6;
    q_ = rows_of(ctx, node.inputs[0]), k_ = rows_of(ctx, node.inputs[1]), v_ = rows_of(ctx, node.inputs[2]);
    decay_ = rows_of(ctx, node.inputs[3]);
    bonus_ = ctx.weight_f32(node.inputs[4]);
  }
  void bind_wkv7(CompileCtx& ctx, const Node& node) {
    rule_ = kernels_.wkv7;
    q_ = rows_of(ctx, node.inputs[0]), decay_ = rows_of(ctx, node.inputs[1]), k_ = rows_of(ctx, node.inputs[2]);
    v_ = rows_of(ctx, node.inputs[3]), a_ = rows_of(ctx, node.inputs[4]), b_ = rows_of(ctx, node.inputs[5]);
  }
  void bind_delta(CompileCtx& ctx, const Node& node) {
    rule_ = kernels_.delta_rule;
    q_ = rows_of(ctx, node.inputs[0]), k_ = rows_of(ctx, node.inputs[1]), v_ = rows_of(ctx, node.inputs[2]);
    decay_ = rows_of(ctx, node.inputs[3]), beta_ = rows_of(ctx, node.inputs[4]);
    one_decay_ = ctx.graph.value(node.inputs[3]).shape.size() == 2;
    scale_ = delta_scale(node);
  }

  /// Columns from `column` on of head h.
  void piece(const SeqRows& seq, float* state, int64_t h, int64_t column) const {
    MatrixTile t{};
    t.n_rows = seq.n_rows, t.dk = keys_, t.lanes = std::min(kColumns, values_ - column);
    t.key_row = q_.row, t.value_row = v_.row, t.decay_row = decay_.row, t.beta_row = beta_.row;
    t.s_row = pad_to(values_, kScanBlock);
    t.q = q_.at(seq.first_row, h), t.k = k_.at(seq.first_row, h), t.v = v_.at(seq.first_row, h) + column;
    if (a_.data) t.a = a_.at(seq.first_row, h), t.b = b_.at(seq.first_row, h);
    if (decay_.data) t.decay = decay_.at(seq.first_row, h);
    if (beta_.data) t.beta = beta_.at(seq.first_row, h);
    if (bonus_) t.bonus = bonus_ + h * keys_;
    t.rate = rate_ ? rate_[h] : 0, t.skip = skip_ ? skip_[h] : 0, t.scale = scale_;
    t.one_decay = one_decay_;
    t.s = state + h * keys_ * t.s_row + column;
    t.y = y_ + seq.first_row * v_.row + h * values_ + column;
    if (seq.pos == 0)
      for (int64_t i = 0; i < keys_; ++i)
        std::memset(t.s + i * t.s_row, 0, static_cast<size_t>(pad_to(t.lanes, 16)) * 4);
    rule_(t);
  }

  StateId state_;
  int64_t heads_ = 0, keys_ = 0, values_ = 0, pieces_ = 0;
  HeadRows q_, k_, v_, a_, b_, decay_, beta_;
  const float *bonus_ = nullptr, *rate_ = nullptr, *skip_ = nullptr;
  float scale_ = 1;
  bool one_decay_ = false;
  float* y_ = nullptr;
  std::string why_;
  const VectorKernels& kernels_;
  void (*rule_)(const MatrixTile&) = nullptr;
};

}  // namespace

std::unique_ptr<CpuOp> make_matrix_state(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<MatrixStateOp>(ctx, fused);
}

}  // namespace tenon::cpu
