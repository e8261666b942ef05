// Causal grouped-query attention over the paged state, one query head at a time, softmax in one running pass.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "backend/reference/run.hpp"
#include "base/error.hpp"

namespace tenon::reference {

namespace {

class Attention {
 public:
  Attention(Run& setup, const Node& node)
      : q_(node.inputs[0]),
        k_(node.inputs[1]),
        v_(node.inputs[2]),
        sinks_(node.inputs.size() > 3 ? node.inputs[3] : 0),
        out_(node.outputs[0]),
        state_(node.states[0]),
        spec_(attention_spec(setup.graph(), node)) {
    const Shape& q = setup.graph().value(q_).shape;
    const Shape& v = setup.graph().value(v_).shape;
    heads_ = q[1];
    groups_ = v[1];
    dk_ = q[2];
    dv_ = v[2];
    key_.resize(static_cast<size_t>(dk_));
    value_.resize(static_cast<size_t>(dv_));
    sum_.resize(static_cast<size_t>(dv_));
  }

  void operator()(Run& run) {
    for (const SeqRows& seq : run.batch().seqs) {
      const int64_t end = int64_t{seq.pos} + seq.n_rows;
      const size_t group = run.states().group(state_);
      if (group >= seq.pages.size()) fail(ErrorCode::internal, "[tenon.attention/1] {} page tables", seq.pages.size());
      pages_ = seq.pages[group];
      if (std::cmp_less(pages_.size(), (end + kPageTokens - 1) / kPageTokens))
        fail(ErrorCode::internal, "[tenon.attention/1] {} pages for {} positions", pages_.size(), end);
      append(run, seq);
      for (int32_t r = 0; r < seq.n_rows; ++r)
        for (int64_t h = 0; h < heads_; ++h) attend(run, seq, r, h);
    }
  }

 private:
  void append(Run& run, const SeqRows& seq) {
    for (int64_t r = 0; r < seq.n_rows; ++r) {
      const int64_t p = seq.pos + r, row = (seq.first_row + r) * groups_;
      const int32_t page = pages_[static_cast<size_t>(p / kPageTokens)];
      for (int64_t g = 0; g < groups_; ++g) {
        run.states().write(state_, States::Part::keys, page, g, p % kPageTokens, run.f32(k_) + (row + g) * dk_);
        run.states().write(state_, States::Part::values, page, g, p % kPageTokens, run.f32(v_) + (row + g) * dv_);
      }
    }
  }

  double score(const float* query, int64_t head, int64_t position) const {
    double s = dot(query, key_.data(), dk_);
    if (!spec_.alibi.empty()) s += alibi_bias(spec_.alibi[static_cast<size_t>(head)], position);
    s *= spec_.scale;
    return spec_.softcap > 0 ? spec_.softcap * std::tanh(s / spec_.softcap) : s;
  }

  void attend(Run& run, const SeqRows& seq, int32_t r, int64_t h) {
    const int64_t row = (seq.first_row + r) * heads_ + h, p = int64_t{seq.pos} + r, g = h / (heads_ / groups_);
    const int64_t begin = spec_.window > 0 ? std::max<int64_t>(0, p - spec_.window + 1) : 0;
    // A sink is one more logit whose value is zero.
    double top = sinks_ ? run.vector(sinks_)[h] : -std::numeric_limits<double>::infinity(), total = sinks_ ? 1 : 0;
    std::fill(sum_.begin(), sum_.end(), 0.0);
    for (int64_t key = begin; key <= p; ++key) {
      const int32_t page = pages_[static_cast<size_t>(key / kPageTokens)];
      run.states().read(state_, States::Part::keys, page, g, key % kPageTokens, key_.data());
      run.states().read(state_, States::Part::values, page, g, key % kPageTokens, value_.data());
      const double s = score(run.f32(q_) + row * dk_, h, key), next = std::max(top, s);
      const double shrink = std::exp(top - next), weight = std::exp(s - next);
      for (size_t i = 0; i < sum_.size(); ++i) sum_[i] = sum_[i] * shrink + weight * value_[i];
      total = total * shrink + weight;
      top = next;
    }
    float* to = run.f32(out_) + row * dv_;
    for (size_t i = 0; i < sum_.size(); ++i) to[i] = static_cast<float>(sum_[i] / total);
  }

  ValueId q_, k_, v_, sinks_, out_;
  StateId state_;
  AttentionSpec spec_;
  int64_t heads_ = 0, groups_ = 0, dk_ = 0, dv_ = 0;
  std::vector<float> key_, value_;
  std::vector<double> sum_;
  std::span<const int32_t> pages_;  // of the sequence at work
};

}  // namespace

Kernel make_attention(Run& setup, const Node& node) { return Attention(setup, node); }

}  // namespace tenon::reference
