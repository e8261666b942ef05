// tenon.sparse_mixer/1: the best expert, then the best of the rest, each weighed against what comes near it.
#include <algorithm>
#include <cmath>

#include "backend/cpu/op.hpp"
#include "backend/cpu/ops/route_best.hpp"
#include "graph/catalogue.hpp"

namespace tenon::cpu {

namespace {

class SparseMixerOp final : public CpuOp {
 public:
  SparseMixerOp(CompileCtx& ctx, const FusedNode& fused)
      : logits_(ctx.value(fused.node.inputs[0])),
        ids_(ctx.value(fused.node.outputs[0])),
        weights_(ctx.value(fused.node.outputs[1])),
        spec_(mixer_spec(fused.node)) {}

  void run(const StepCtx& ctx, const Team& team) override {
    team.for_each(logits_.rows(ctx), 4, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) route(r);
    });
  }
  std::string explain() const override { return "loop"; }

 private:
  void route(int64_t row) const {
    const float* logits = logits_.f32() + row * logits_.width;
    int32_t* ids = reinterpret_cast<int32_t*>(ids_.data) + row * spec_.k;
    // Choosing the best again and again without those chosen before is choosing the k best.
    Best{logits, ids, spec_.k}.offer(0, logits_.width);
    for (int64_t j = 0; j < spec_.k; ++j) weights_.f32()[row * spec_.k + j] = weight(logits, ids, j);
  }

  float weight(const float* logits, const int32_t* ids, int64_t j) const {
    const float best = logits[ids[j]];
    float sum = 0;
    for (int64_t e = 0; e < logits_.width; ++e) {
      if ((best - logits[e]) / std::max(std::fabs(logits[e]), best) > 2 * spec_.jitter) continue;
      if (std::find(ids, ids + j, static_cast<int32_t>(e)) == ids + j) sum += std::exp(logits[e] - best);
    }
    return 1 / sum;
  }

  Val logits_, ids_, weights_;
  MixerSpec spec_;
};

}  // namespace

std::unique_ptr<CpuOp> make_sparse_mixer(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<SparseMixerOp>(ctx, fused);
}

}  // namespace tenon::cpu
