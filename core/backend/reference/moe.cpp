// Expert routing and the experts' gated feed-forward.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "backend/reference/run.hpp"
#include "base/error.hpp"

namespace tenon::reference {

namespace {

void softmax(std::vector<double>& x) {
  const double top = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (double& v : x) sum += v = std::exp(v - top);
  for (double& v : x) v /= sum;
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
    order_.resize(experts);
    chosen_.resize(static_cast<size_t>(spec_.k));
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
  bool before(int32_t a, int32_t b) const {
    const float x = select_[static_cast<size_t>(a)], y = select_[static_cast<size_t>(b)];
    return x > y || (x == y && a < b);
  }

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
    std::iota(order_.begin(), order_.end(), 0);
    for (size_t i = 0; i < chosen_.size(); ++i)
      for (size_t e = i + 1; e < order_.size(); ++e)
        if (before(order_[e], order_[i])) std::swap(order_[e], order_[i]);
    for (size_t i = 0; i < chosen_.size(); ++i) chosen_[i] = scores_[static_cast<size_t>(order_[i])];
    if (spec_.score == RouteScore::softmax_selected) softmax(chosen_);
    if (!spec_.renormalise) return;
    const double sum = std::accumulate(chosen_.begin(), chosen_.end(), 0.0) + 1e-20;
    for (double& w : chosen_) w /= sum;
  }

  ValueId logits_, bias_, ids_, weights_;
  RouteSpec spec_;
  std::vector<double> scores_, chosen_;
  std::vector<float> select_;
  std::vector<int32_t> order_;
};

class Experts {
 public:
  Experts(Run& setup, const Node& node) : in_(node.inputs), out_(node.outputs[0]), act_(node_activation(node)) {
    const Shape& gate = setup.graph().value(in_[3]).shape;
    experts_ = gate[0];
    hidden_.resize(static_cast<size_t>(gate[1]));
    sum_.resize(static_cast<size_t>(gate[2]));
  }

  void operator()(Run& run) {
    const int64_t rows = run.rows(in_[0]), k = run.width(in_[1]);
    const auto d = static_cast<int64_t>(sum_.size());
    for (int64_t t = 0; t < rows; ++t) {
      std::fill(sum_.begin(), sum_.end(), 0.0);
      for (int64_t i = 0; i < k; ++i)
        add_expert(run, run.f32(in_[0]) + t * d, run.i32(in_[1])[t * k + i], run.f32(in_[2])[t * k + i]);
      for (int64_t i = 0; i < d; ++i) run.f32(out_)[t * d + i] = static_cast<float>(sum_[static_cast<size_t>(i)]);
    }
  }

 private:
  void add_expert(Run& run, const float* x, int32_t expert, float weight) {
    if (expert < 0 || expert >= experts_)
      fail(ErrorCode::internal, "[tenon.moe_ffn/1] expert {} of {}", expert, experts_);
    const auto f = static_cast<int64_t>(hidden_.size()), d = static_cast<int64_t>(sum_.size());
    for (int64_t j = 0; j < f; ++j) {
      const auto gate = static_cast<float>(dot(x, run.weight_row(in_[3], expert * f + j), d));
      const auto up = static_cast<float>(dot(x, run.weight_row(in_[4], expert * f + j), d));
      hidden_[static_cast<size_t>(j)] = apply_activation(act_, gate) * up;
    }
    for (int64_t i = 0; i < d; ++i)
      sum_[static_cast<size_t>(i)] += weight * dot(hidden_.data(), run.weight_row(in_[5], expert * d + i), f);
  }

  std::vector<ValueId> in_;
  ValueId out_;
  Activation act_;
  int64_t experts_ = 0;
  std::vector<float> hidden_;
  std::vector<double> sum_;
};

}  // namespace

Kernel make_moe_route(Run& setup, const Node& node) { return Route(setup, node); }
Kernel make_moe_ffn(Run& setup, const Node& node) { return Experts(setup, node); }

}  // namespace tenon::reference
