// tenon.causal_conv1d/1, tenon.token_shift/1 and tenon.ssm_scan/1: channels are shared out between the members, each of
// which walks its channels through all rows of a sequence, so that a chunk of a prompt and a token run the same loop.
#include <algorithm>
#include <cstring>

#include "backend/cpu/op.hpp"
#include "backend/cpu/state_pool.hpp"
#include "graph/catalogue.hpp"

namespace tenon::cpu {

namespace {

constexpr int64_t kConvChannels = 256;  // of one piece
constexpr int64_t kScanGrain = 4;       // blocks of 16 channels of one piece
constexpr size_t kMaxKernel = 64;       // as the catalogue says

class ConvOp final : public CpuOp {
 public:
  ConvOp(CompileCtx& ctx, const FusedNode& fused)
      : x_(ctx.value(fused.node.inputs[0])),
        y_(ctx.value(fused.node.outputs[0])),
        state_(fused.node.states[0]),
        channels_(x_.width),
        k_(ctx.graph.value(fused.node.inputs[1]).shape[1]),
        act_(static_cast<VecAct>(node_activation(fused.node))),
        kernels_(ctx.vector_kernels(fused.node.op, &why_)) {
    if (fused.node.inputs.size() > 2) bias_ = ctx.weight_f32(fused.node.inputs[2]);
    const float* w = ctx.weight_f32(fused.node.inputs[1]);  // [C, K]
    w_.resize(static_cast<size_t>(channels_ * k_));
    for (int64_t c = 0; c < channels_; ++c)
      for (int64_t j = 0; j < k_; ++j) w_[static_cast<size_t>(j * channels_ + c)] = w[c * k_ + j];
  }

  void run(const StepCtx& ctx, const Team& team) override {
    const int64_t pieces = (channels_ + kConvChannels - 1) / kConvChannels;
    team.for_each(pieces * static_cast<int64_t>(ctx.batch->seqs.size()), 1, [&](int64_t i, int64_t) {
      const SeqRows& seq = ctx.batch->seqs[static_cast<size_t>(i / pieces)];
      const int64_t c = i % pieces * kConvChannels;
      piece(seq, ctx.states->slot(ctx.states->layout(state_), seq.slot) + c, c, std::min(kConvChannels, channels_ - c));
    });
  }
  std::string explain() const override { return why_; }

 private:
  /// n channels from c on; `past` is their state, [K-1] rows.
  void piece(const SeqRows& seq, float* past, int64_t c, int64_t n) const {
    const size_t bytes = static_cast<size_t>(n) * 4;
    const float* x = x_.f32() + seq.first_row * channels_ + c;
    float* y = y_.f32() + seq.first_row * channels_ + c;
    if (seq.pos == 0)
      for (int64_t j = 0; j + 1 < k_; ++j) std::memset(past + j * channels_, 0, bytes);
    const float* rows[kMaxKernel];
    for (int64_t r = 0; r < seq.n_rows; ++r) {
      for (int64_t j = 0; j < k_; ++j) {
        const int64_t from = r - (k_ - 1) + j;  // row of the step; below 0: of the past
        rows[j] = from < 0 ? past + (from + k_ - 1) * channels_ : x + from * channels_;
      }
      kernels_.conv_row(rows, w_.data() + c, channels_, k_, bias_ ? bias_ + c : nullptr, y + r * channels_, n);
      if (act_ != VecAct::identity) kernels_.unary(act_, y + r * channels_, y + r * channels_, n);
    }
    for (int64_t j = 0; j + 1 < k_; ++j) {  // ascending: a row of the past moves to a place already read
      const int64_t from = seq.n_rows - (k_ - 1) + j;
      std::memmove(past + j * channels_, from < 0 ? past + (from + k_ - 1) * channels_ : x + from * channels_, bytes);
    }
  }

  Val x_, y_;
  StateId state_;
  int64_t channels_, k_;
  VecAct act_;
  const float* bias_ = nullptr;
  std::vector<float> w_;  // [K, C]
  std::string why_;
  const VectorKernels& kernels_;
};

class ShiftOp final : public CpuOp {
 public:
  ShiftOp(CompileCtx& ctx, const FusedNode& fused)
      : x_(ctx.value(fused.node.inputs[0])), y_(ctx.value(fused.node.outputs[0])), state_(fused.node.states[0]) {}

  void run(const StepCtx& ctx, const Team& team) override {
    const int64_t pieces = (x_.width + kConvChannels - 1) / kConvChannels;
    team.for_each(pieces * static_cast<int64_t>(ctx.batch->seqs.size()), 1, [&](int64_t i, int64_t) {
      const SeqRows& seq = ctx.batch->seqs[static_cast<size_t>(i / pieces)];
      const int64_t c = i % pieces * kConvChannels, row = x_.width, at = seq.first_row * row + c;
      const size_t bytes = static_cast<size_t>(std::min(kConvChannels, row - c)) * 4;
      float* last = ctx.states->slot(ctx.states->layout(state_), seq.slot) + c;
      if (seq.pos == 0) std::memset(last, 0, bytes);
      std::memcpy(y_.f32() + at, last, bytes);
      for (int64_t r = 1; r < seq.n_rows; ++r)
        std::memcpy(y_.f32() + at + r * row, x_.f32() + at + (r - 1) * row, bytes);
      std::memcpy(last, x_.f32() + at + (seq.n_rows - 1) * row, bytes);
    });
  }
  std::string explain() const override { return "copy"; }

 private:
  Val x_, y_;
  StateId state_;
};

class ScanOp final : public CpuOp {
 public:
  ScanOp(CompileCtx& ctx, const FusedNode& fused)
      : x_(ctx.value(fused.node.inputs[0])),
        dt_(ctx.value(fused.node.inputs[1])),
        b_(ctx.value(fused.node.inputs[3])),
        c_(ctx.value(fused.node.inputs[4])),
        y_(ctx.value(fused.node.outputs[0])),
        state_(fused.node.states[0]),
        channels_(x_.width),
        n_(b_.width),
        blocks_((channels_ + kScanBlock - 1) / kScanBlock),
        kernels_(ctx.vector_kernels(fused.node.op, &why_)) {
    const float* a = ctx.weight_f32(fused.node.inputs[2]);  // [E, N]
    a_.resize(static_cast<size_t>(blocks_ * n_ * kScanBlock));
    for (int64_t e = 0; e < channels_; ++e)
      for (int64_t i = 0; i < n_; ++i)
        a_[static_cast<size_t>((e / kScanBlock * n_ + i) * kScanBlock + e % kScanBlock)] = a[e * n_ + i];
    const float* d = fused.node.inputs.size() > 5 ? ctx.weight_f32(fused.node.inputs[5]) : nullptr;
    if (!d) return;
    d_.resize(static_cast<size_t>(blocks_ * kScanBlock));
    std::copy_n(d, channels_, d_.begin());
  }

  void run(const StepCtx& ctx, const Team& team) override {
    const int64_t all = blocks_ * static_cast<int64_t>(ctx.batch->seqs.size());
    team.for_each(all, kScanGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const SeqRows& seq = ctx.batch->seqs[static_cast<size_t>(i / blocks_)];
        block(seq, ctx.states->slot(ctx.states->layout(state_), seq.slot), i % blocks_);
      }
    });
  }
  std::string explain() const override { return why_; }

 private:
  void block(const SeqRows& seq, float* state, int64_t block) const {
    const int64_t e = block * kScanBlock, at = seq.first_row * channels_ + e;
    float* h = state + e * n_;
    if (seq.pos == 0) std::memset(h, 0, static_cast<size_t>(n_ * kScanBlock) * 4);
    kernels_.ssm_scan({seq.n_rows, n_, std::min(kScanBlock, channels_ - e), channels_, x_.f32() + at, dt_.f32() + at,
                       b_.f32() + seq.first_row * n_, c_.f32() + seq.first_row * n_, a_.data() + e * n_,
                       d_.empty() ? nullptr : d_.data() + e, h, y_.f32() + at});
  }

  Val x_, dt_, b_, c_, y_;
  StateId state_;
  int64_t channels_, n_, blocks_;
  std::vector<float> a_, d_;  // [blocks][N][16], [blocks][16]
  std::string why_;
  const VectorKernels& kernels_;
};

}  // namespace

std::unique_ptr<CpuOp> make_causal_conv1d(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<ConvOp>(ctx, fused);
}

std::unique_ptr<CpuOp> make_token_shift(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<ShiftOp>(ctx, fused);
}

std::unique_ptr<CpuOp> make_ssm_scan(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<ScanOp>(ctx, fused);
}

}  // namespace tenon::cpu
