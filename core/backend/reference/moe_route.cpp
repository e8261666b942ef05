// The choice of experts: top-k of scores, within the best groups where there are groups, and the sparse mixer.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "backend/reference/run.hpp"

namespace tenon::reference {

namespace {

constexpr float kOut = -std::numeric_limits<float>::infinity();

void softmax(std::vector<double>& x) {
  const double top = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (double& v : x) sum += v = std::exp(v - top);
  for (double& v : x) v /= sum;
}

/// The indices of the k largest of `values`, best first, the lower index first among equals.
void order_best(const std::vector<float>& values, int64_t k, std::vector<int32_t>& order) {
  order.resize(values.size());
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](int32_t a, int32_t b) {
    const float x = values[static_cast<size_t>(a)], y = values[static_cast<size_t>(b)];
    return x > y || (x == y && a < b);
  };
  for (size_t i = 0; i < static_cast<size_t>(k); ++i)
    for (size_t e = i + 1; e < order.size(); ++e)
      if (before(order[e], order[i])) std::swap(order[e], order[i]);
}

class Route {
 public:
  Route(Run& setup, const Node& node)
      : logits_(node.inputs[0]),
        bias_(node.inputs.size() > 1 ? node.inputs[1] : 0),
        ids_(node.outputs[0]),
        weights_(node.outputs[1]),
        spec_(route_spec(node)) {
    const auto experts = static_cast<size_t>(setup.graph().value(logits_).shape[1]);
    scores_.resize(experts);
    select_.resize(experts);
    order_.reserve(experts);
    chosen_.resize(static_cast<size_t>(spec_.k));
    groups_.resize(static_cast<size_t>(spec_.n_group));
    group_order_.reserve(groups_.size());
  }

  void operator()(Run& run) {
    const int64_t rows = run.rows(logits_), experts = run.width(logits_);
    const float* bias = run.vector(bias_);
    for (int64_t t = 0; t < rows; ++t) {
      score(run.f32(logits_) + t * experts, bias);
      int32_t* ids = run.i32_result(ids_) + t * spec_.k;
      float* weights = run.f32(weights_) + t * spec_.k;
      for (size_t i = 0; i < chosen_.size(); ++i) {
        ids[i] = order_[i];
        weights[i] = static_cast<float>(chosen_[i] * spec_.scale);
      }
    }
  }

 private:
  /// Fills order_ with the k best experts first and chosen_ with their weights before `scale`.
  void score(const float* logits, const float* bias) {
    for (size_t e = 0; e < scores_.size(); ++e) {
      scores_[e] = logits[e];
      if (spec_.score == RouteScore::sigmoid) scores_[e] = 1 / (1 + std::exp(-scores_[e]));
    }
    if (spec_.score == RouteScore::softmax) softmax(scores_);
    // Selection compares float32 scores, so that ties are those of the models' own code.
    for (size_t e = 0; e < scores_.size(); ++e)
      select_[e] = bias ? static_cast<float>(scores_[e]) + bias[e] : static_cast<float>(scores_[e]);
    if (spec_.topk_group < spec_.n_group) drop_groups();
    order_best(select_, spec_.k, order_);
    for (size_t i = 0; i < chosen_.size(); ++i) chosen_[i] = scores_[static_cast<size_t>(order_[i])];
    if (spec_.score == RouteScore::softmax_selected) softmax(chosen_);
    if (!spec_.renormalise) return;
    const double sum = std::accumulate(chosen_.begin(), chosen_.end(), 0.0) + 1e-20;
    for (double& w : chosen_) w /= sum;
  }

  void drop_groups() {
    const size_t width = select_.size() / groups_.size();
    for (size_t g = 0; g < groups_.size(); ++g) {
      float best = kOut, second = kOut;
      for (size_t e = g * width; e < (g + 1) * width; ++e) {
        second = std::max(second, std::min(best, select_[e]));
        best = std::max(best, select_[e]);
      }
      groups_[g] = spec_.group_rank == GroupRank::max ? best : best + second;
    }
    order_best(groups_, spec_.topk_group, group_order_);
    for (size_t i = static_cast<size_t>(spec_.topk_group); i < groups_.size(); ++i)
      std::fill_n(select_.begin() + group_order_[i] * static_cast<int64_t>(width), width, kOut);
  }

  ValueId logits_, bias_, ids_, weights_;
  RouteSpec spec_;
  std::vector<double> scores_, chosen_;
  std::vector<float> select_, groups_;
  std::vector<int32_t> order_, group_order_;
};

class SparseMixer {
 public:
  SparseMixer(Run& setup, const Node& node)
      : logits_(node.inputs[0]), ids_(node.outputs[0]), weights_(node.outputs[1]), spec_(mixer_spec(node)) {
    left_.resize(static_cast<size_t>(setup.graph().value(logits_).shape[1]));
  }

  void operator()(Run& run) {
    const int64_t rows = run.rows(logits_), experts = run.width(logits_);
    for (int64_t t = 0; t < rows; ++t) {
      const float* logits = run.f32(logits_) + t * experts;
      std::copy_n(logits, experts, left_.begin());
      for (int64_t i = 0; i < spec_.k; ++i) {
        const auto best = std::max_element(left_.begin(), left_.end());
        run.i32_result(ids_)[t * spec_.k + i] = static_cast<int32_t>(best - left_.begin());
        run.f32(weights_)[t * spec_.k + i] = weight(logits, *best);
        *best = kOut;
      }
    }
  }

 private:
  /// The share of the best in the softmax over what is left and near it.
  float weight(const float* logits, float best) const {
    double sum = 0;
    for (size_t e = 0; e < left_.size(); ++e)
      if (!((best - logits[e]) / std::max(std::fabs(logits[e]), best) > 2 * spec_.jitter))
        sum += std::exp(static_cast<double>(left_[e]) - best);
    return static_cast<float>(1 / sum);
  }

  ValueId logits_, ids_, weights_;
  MixerSpec spec_;
  std::vector<float> left_;  // logits, -inf for those chosen
};

}  // namespace

Kernel make_moe_route(Run& setup, const Node& node) { return Route(setup, node); }
Kernel make_sparse_mixer(Run& setup, const Node& node) { return SparseMixer(setup, node); }

}  // namespace tenon::reference
