// tenon.moe_route/1: scores, the k best of them, their weights. Rows are independent and small: one pass over the
// experts that keeps a short list of the best.
#include <algorithm>
#include <cmath>

#include "backend/cpu/op.hpp"
#include "backend/cpu/ops/route_best.hpp"
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
    row_bytes_ = align64(static_cast<uint64_t>(logits_.width) * 4);
    ctx.need_private(row_bytes_ * 4);
  }

  void run(const StepCtx& ctx, const Team& team) override {
    std::byte* base = ctx.mine(team);
    const Scratch scratch = {reinterpret_cast<float*>(base), reinterpret_cast<float*>(base + row_bytes_),
                             reinterpret_cast<float*>(base + 2 * row_bytes_),
                             reinterpret_cast<int32_t*>(base + 3 * row_bytes_)};
    team.for_each(logits_.rows(ctx), 4, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) route(r, scratch);
    });
  }
  std::string explain() const override { return "loop"; }

 private:
  struct Scratch {
    float *scores, *keys, *groups;  // [experts], [experts], [n_group]
    int32_t* best_groups;           // [topk_group]
  };
  void route(int64_t row, const Scratch& s) const;
  void choose(const Scratch& s, int32_t* ids) const;

  Val logits_, ids_, weights_;
  RouteSpec spec_;
  const float* bias_ = nullptr;
  uint64_t row_bytes_ = 0;
};

void softmax(float* x, int64_t n) {
  const float top = *std::max_element(x, x + n);
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i] = std::exp(x[i] - top);
  for (int64_t i = 0; i < n; ++i) x[i] /= sum;
}

/// The k best keys of the groups that stay, lower indices first among equals.
void MoeRouteOp::choose(const Scratch& s, int32_t* ids) const {
  const int64_t width = logits_.width / spec_.n_group, kept = spec_.topk_group;
  Best best{s.keys, ids, spec_.k};
  if (kept == spec_.n_group) return best.offer(0, logits_.width);
  for (int64_t g = 0; g < spec_.n_group; ++g) {
    float first = -INFINITY, second = -INFINITY;
    for (int64_t e = g * width; e < (g + 1) * width; ++e) {
      second = std::max(second, std::min(first, s.keys[e]));
      first = std::max(first, s.keys[e]);
    }
    s.groups[g] = spec_.group_rank == GroupRank::max ? first : first + second;
  }
  Best{s.groups, s.best_groups, kept}.offer(0, spec_.n_group);
  std::sort(s.best_groups, s.best_groups + kept);
  for (int64_t i = 0; i < kept; ++i) best.offer(s.best_groups[i] * width, (s.best_groups[i] + 1) * width);
}

void MoeRouteOp::route(int64_t row, const Scratch& s) const {
  const int64_t n = logits_.width;
  std::copy_n(logits_.f32() + row * n, n, s.scores);
  if (spec_.score == RouteScore::softmax) softmax(s.scores, n);
  if (spec_.score == RouteScore::sigmoid)
    for (int64_t i = 0; i < n; ++i) s.scores[i] = 1 / (1 + std::exp(-s.scores[i]));
  for (int64_t i = 0; i < n; ++i) s.keys[i] = s.scores[i] + (bias_ ? bias_[i] : 0);
  int32_t* ids = reinterpret_cast<int32_t*>(ids_.data) + row * spec_.k;
  float* weights = weights_.f32() + row * spec_.k;
  choose(s, ids);
  for (int64_t j = 0; j < spec_.k; ++j) weights[j] = s.scores[ids[j]];
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
