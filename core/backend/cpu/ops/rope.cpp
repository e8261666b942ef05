// tenon.rope/1 and the tables behind it. Angles are float32 products and their cosines are rounded once, as in the
// reference implementation.
#include <cmath>

#include "backend/cpu/ops/rope_table.hpp"
#include "base/error.hpp"

namespace tenon::cpu {

namespace {
/// Distinct choices of frequencies that are kept; a longer list starts again.
constexpr size_t kMaxChoices = 1024;
}  // namespace

RopeTable::RopeTable(RopeSpec spec, const float* freq_factors, int64_t max_tokens, int64_t max_seqs)
    : spec_(std::move(spec)), by_length_(rope_depends_on_length(spec_)) {
  if (freq_factors) factors_.assign(freq_factors, freq_factors + spec_.n_rot / 2);
  stride_ = interleaved() ? spec_.n_rot : spec_.n_rot / 2;
  of_seq_.resize(static_cast<size_t>(max_seqs));
  cos_.resize(static_cast<size_t>(max_tokens * stride_));
  sin_.resize(static_cast<size_t>(max_tokens * stride_));
  if (!by_length_) frequencies(0);
}

bool RopeTable::same_as(const RopeTable& o) const {
  const RopeSpec &a = spec_, &b = o.spec_;
  return a.layout == b.layout && a.scaling == b.scaling && a.n_rot == b.n_rot && a.base == b.base &&
         a.factor == b.factor && a.original_ctx == b.original_ctx && a.low_freq_factor == b.low_freq_factor &&
         a.high_freq_factor == b.high_freq_factor && a.beta_fast == b.beta_fast && a.beta_slow == b.beta_slow &&
         a.truncate == b.truncate && a.magnitude == b.magnitude && a.long_magnitude == b.long_magnitude &&
         a.short_factors == b.short_factors && a.long_factors == b.long_factors && factors_ == o.factors_;
}

const std::vector<float>& RopeTable::frequencies(int64_t planned_len) {
  const double choice = rope_choice(spec_, planned_len);
  auto at = by_choice_.find(choice);
  if (at == by_choice_.end()) at = by_choice_.emplace(choice, rope_inv_freq(spec_, factors_, planned_len)).first;
  return at->second;
}

void RopeTable::prepare(const StepCtx& ctx) {
  if (by_length_ && by_choice_.size() > kMaxChoices) by_choice_.clear();
  for (size_t s = 0; s < ctx.batch->seqs.size(); ++s)
    of_seq_[s] = frequencies(by_length_ ? ctx.batch->seqs[s].planned_len : 0).data();
}

void RopeTable::fill(const StepCtx& ctx, int64_t begin, int64_t end) {
  size_t s = 0;
  for (int64_t row = begin; row < end; ++row) {
    const auto& seqs = ctx.batch->seqs;
    while (s + 1 < seqs.size() && row >= seqs[s].first_row + seqs[s].n_rows) ++s;
    const auto magnitude = static_cast<float>(rope_magnitude(spec_, seqs[s].planned_len));
    const float position = static_cast<float>(ctx.batch->positions[static_cast<size_t>(row)]);
    float *c = cos_.data() + row * stride_, *n = sin_.data() + row * stride_;
    for (int64_t j = 0; j < spec_.n_rot / 2; ++j) {
      const float angle = position * of_seq_[s][j];
      const float cosine = std::cos(angle) * magnitude, sine = std::sin(angle) * magnitude;
      if (interleaved()) {
        c[2 * j] = c[2 * j + 1] = cosine;
        n[2 * j] = -sine;
        n[2 * j + 1] = sine;
      } else {
        c[j] = cosine;
        n[j] = sine;
      }
    }
  }
}

namespace {

class RopeTableOp final : public CpuOp {
 public:
  explicit RopeTableOp(RopeTable& table) : table_(table) {}
  void prepare(const StepCtx& ctx) override { table_.prepare(ctx); }
  void run(const StepCtx& ctx, const Team& team) override {
    team.for_each(ctx.n_tokens, 4, [&](int64_t begin, int64_t end) { table_.fill(ctx, begin, end); });
  }
  std::string explain() const override { return "rope table: libm"; }

 private:
  RopeTable& table_;
};

class RopeOp final : public CpuOp {
 public:
  RopeOp(CompileCtx& ctx, const FusedNode& fused)
      : x_(ctx.value(fused.node.inputs[0])),
        y_(ctx.value(fused.node.outputs[0])),
        table_(ctx.rope_table(fused.node)),
        kernels_(ctx.vector_kernels(fused.node.op, &why_)) {}

  void run(const StepCtx& ctx, const Team& team) override {
    const int64_t heads = x_.rows_per_lead, d = x_.width;
    team.for_each(ctx.n_tokens * heads, 64, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        kernels_.rope(x_.f32() + r * d, table_.cos(r / heads), table_.sin(r / heads), table_.n_rot(),
                      table_.interleaved(), 1.f, y_.f32() + r * d, d);
    });
  }
  std::string explain() const override { return why_; }

 private:
  Val x_, y_;
  RopeTable& table_;
  std::string why_;
  const VectorKernels& kernels_;
};

}  // namespace

std::unique_ptr<CpuOp> make_rope(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<RopeOp>(ctx, fused);
}
std::unique_ptr<CpuOp> make_rope_table(CompileCtx&, RopeTable& table) { return std::make_unique<RopeTableOp>(table); }

}  // namespace tenon::cpu
