// tenon.pool/1: one row for a sequence, shared out by blocks of columns.
#include <algorithm>
#include <cstring>

#include "backend/cpu/op.hpp"
#include "graph/catalogue.hpp"

namespace tenon::cpu {

namespace {

constexpr int64_t kColumns = 64;

class PoolOp final : public CpuOp {
 public:
  PoolOp(CompileCtx& ctx, const FusedNode& fused)
      : x_(ctx.value(fused.node.inputs[0])),
        rows_(ctx.value(fused.node.inputs[1])),
        y_(ctx.value(fused.node.outputs[0])),
        mode_(pool_mode(fused.node)),
        blocks_((x_.width + kColumns - 1) / kColumns),
        kernels_(ctx.vector_kernels(fused.node.op, &why_)) {}

  void run(const StepCtx& ctx, const Team& team) override {
    team.for_each(ctx.n_rows * blocks_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) pool(ctx, i / blocks_, i % blocks_ * kColumns);
    });
  }
  std::string explain() const override { return why_; }

 private:
  /// Columns [column, column + kColumns) of result r.
  void pool(const StepCtx& ctx, int64_t r, int64_t column) const {
    const int32_t row = rows_.i32(ctx)[r];
    const SeqRows* seq = ctx.batch->seqs.data();
    while (row >= seq->first_row + seq->n_rows) ++seq;  // sequences cover the rows in order
    const int64_t d = x_.width, n = std::min(kColumns, d - column);
    const float* x = x_.f32() + seq->first_row * d + column;
    float* y = y_.f32() + r * d + column;
    if (mode_ != PoolMode::mean) {
      std::memcpy(y, x + (mode_ == PoolMode::first ? 0 : seq->n_rows - 1) * d, static_cast<size_t>(n) * 4);
      return;
    }
    std::memset(y, 0, static_cast<size_t>(n) * 4);
    for (int64_t i = 0; i < seq->n_rows; ++i) kernels_.add(y, x + i * d, y, n);
    kernels_.scale_shift(y, 1 / static_cast<float>(seq->n_rows), 0, y, n);
  }

  Val x_, rows_, y_;
  PoolMode mode_;
  int64_t blocks_;
  std::string why_;
  const VectorKernels& kernels_;
};

}  // namespace

std::unique_ptr<CpuOp> make_pool(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<PoolOp>(ctx, fused);
}

}  // namespace tenon::cpu
