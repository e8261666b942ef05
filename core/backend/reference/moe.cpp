// The experts' gated feed-forward.
#include <algorithm>

#include "backend/reference/run.hpp"
#include "base/error.hpp"

namespace tenon::reference {

namespace {

class Experts {
 public:
  Experts(Run& setup, const Node& node) : in_(node.inputs), out_(node.outputs[0]), glu_(glu_spec(node)) {
    in_.resize(9, 0);
    const Shape& gate = setup.graph().value(in_[3]).shape;
    experts_ = gate[0];
    hidden_.resize(static_cast<size_t>(gate[1]));
    sum_.resize(static_cast<size_t>(gate[2]));
    for (size_t b = 0; b < 3; ++b) bias_[b].resize(b < 2 ? hidden_.size() : sum_.size());
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
    for (size_t b = 0; b < 3; ++b)
      if (in_[6 + b]) std::copy_n(run.weight_row(in_[6 + b], expert), bias_[b].size(), bias_[b].begin());
    for (int64_t j = 0; j < f; ++j) {
      const auto i = static_cast<size_t>(j);
      const double gate = dot(x, run.weight_row(in_[3], expert * f + j), d) + bias_[0][i];
      const double up = dot(x, run.weight_row(in_[4], expert * f + j), d) + bias_[1][i];
      hidden_[i] = apply_glu(glu_, static_cast<float>(gate), static_cast<float>(up));
    }
    for (int64_t i = 0; i < d; ++i) {
      const double y = dot(hidden_.data(), run.weight_row(in_[5], expert * d + i), f);
      sum_[static_cast<size_t>(i)] += weight * (y + bias_[2][static_cast<size_t>(i)]);
    }
  }

  std::vector<ValueId> in_;
  ValueId out_;
  GluSpec glu_;
  int64_t experts_ = 0;
  std::vector<float> hidden_, bias_[3];  // bias: of gate, up and down, zeros where there is none
  std::vector<double> sum_;
};

}  // namespace

Kernel make_moe_ffn(Run& setup, const Node& node) { return Experts(setup, node); }

}  // namespace tenon::reference
