// tenon.moe_route/1: scores, the k best of them, their weights. Rows are independent and small: plain loops.
#include <algorithm>
#include <cmath>

#include "backend/cpu/op.hpp"
#include "graph/catalogue.hpp"

namespace tenon::cpu {

namespace {

class MoeRouteOp final : public CpuOp {
 public:
  MoeRouteOp(CompileCtx& ctx, const FusedNode& fused)
      : logits_(ctx.value(fused.node.inputs[0])),
        ids_(ctx.value(fused.node.outputs[0])),
        weights_(ctx.value(fused.node.outputs[1])),
        spec_(route_spec(fused.node)) {
    if (fused.node.inputs.size() > 1) bias_ = ctx.weight_f32(fused.node.inputs[1]);
    ctx.need_private(align64(static_cast<uint64_t>(logits_.width) * 4) * 2);
  }

  void run(const StepCtx& ctx, const Team& team) override {
    float* scores = reinterpret_cast<float*>(ctx.mine(team));
    float* keys = scores + align64(static_cast<uint64_t>(logits_.width) * 4) / 4;
    team.for_each(logits_.rows(ctx), 4, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) route(r, scores, keys);
    });
  }
  std::string explain() const override { return "loop"; }

 private:
  void route(int64_t row, float* scores, float* keys) const;

  Val logits_, ids_, weights_;
  RouteSpec spec_;
  const float* bias_ = nullptr;
};

void softmax(float* x, int64_t n) {
  const float top = *std::max_element(x, x + n);
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i] = std::exp(x[i] - top);
  for (int64_t i = 0; i < n; ++i) x[i] /= sum;
}

void MoeRouteOp::route(int64_t row, float* scores, float* keys) const {
  const int64_t n = logits_.width;
  std::copy_n(logits_.f32() + row * n, n, scores);
  if (spec_.score == RouteScore::softmax) softmax(scores, n);
  if (spec_.score == RouteScore::sigmoid)
    for (int64_t i = 0; i < n; ++i) scores[i] = 1 / (1 + std::exp(-scores[i]));
  for (int64_t i = 0; i < n; ++i) keys[i] = scores[i] + (bias_ ? bias_[i] : 0);
  int32_t* ids = reinterpret_cast<int32_t*>(ids_.data) + row * spec_.k;
  float* weights = weights_.f32() + row * spec_.k;
  for (int64_t j = 0; j < spec_.k; ++j) {
    int64_t best = -1;
    for (int64_t i = 0; i < n; ++i)
      if (std::find(ids, ids + j, static_cast<int32_t>(i)) == ids + j && (best < 0 || keys[i] > keys[best])) best = i;
    ids[j] = static_cast<int32_t>(best);
    weights[j] = scores[best];
  }
  if (spec_.score == RouteScore::softmax_selected) softmax(weights, spec_.k);
  float total = 1;
  if (spec_.renormalise) {
    total = 1e-20f;
    for (int64_t j = 0; j < spec_.k; ++j) total += weights[j];
  }
  for (int64_t j = 0; j < spec_.k; ++j) weights[j] = weights[j] / total * spec_.scale;
}

}  // namespace

std::unique_ptr<CpuOp> make_moe_route(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<MoeRouteOp>(ctx, fused);
}

}  // namespace tenon::cpu
