// Attention in both directions, and pooling: every row sees all rows of its sequence, which are all in the step.
#include <algorithm>
#include <cmath>

#include "backend/reference/run.hpp"
#include "base/error.hpp"

namespace tenon::reference {

namespace {

class EncoderAttention {
 public:
  EncoderAttention(Run& setup, const Node& node)
      : q_(node.inputs[0]),
        k_(node.inputs[1]),
        v_(node.inputs[2]),
        out_(node.outputs[0]),
        spec_(encoder_attention_spec(node)) {
    const Shape &q = setup.graph().value(q_).shape, &v = setup.graph().value(v_).shape;
    heads_ = q[1], groups_ = v[1], dk_ = q[2], dv_ = v[2];
    sum_.resize(static_cast<size_t>(dv_));
  }

  void operator()(Run& run) {
    for (const SeqRows& seq : run.batch().seqs) {
      if (seq.pos != 0) fail(ErrorCode::internal, "[tenon.encoder_attention/1] rows from position {} on", seq.pos);
      for (int32_t r = 0; r < seq.n_rows; ++r)
        for (int64_t h = 0; h < heads_; ++h) attend(run, seq, r, h);
    }
  }

 private:
  double score(Run& run, int64_t query, int64_t key) const {
    const double s = dot(run.f32(q_) + query * dk_, run.f32(k_) + key * dk_, dk_) * spec_.scale;
    return spec_.softcap > 0 ? spec_.softcap * std::tanh(s / spec_.softcap) : s;
  }

  void attend(Run& run, const SeqRows& seq, int64_t r, int64_t h) {
    const int64_t n = seq.n_rows, g = h / (heads_ / groups_), query = (seq.first_row + r) * heads_ + h;
    const int64_t begin = spec_.radius < 0 ? 0 : std::max<int64_t>(0, r - spec_.radius);
    const int64_t end = spec_.radius < 0 || spec_.radius >= n ? n : std::min(n, r + spec_.radius + 1);
    const auto key_row = [&](int64_t key) { return (seq.first_row + key) * groups_ + g; };
    double top = -HUGE_VAL, total = 0;
    for (int64_t key = begin; key < end; ++key) top = std::max(top, score(run, query, key_row(key)));
    std::fill(sum_.begin(), sum_.end(), 0.0);
    for (int64_t key = begin; key < end; ++key) {
      const double weight = std::exp(score(run, query, key_row(key)) - top);
      const float* value = run.f32(v_) + key_row(key) * dv_;
      for (size_t i = 0; i < sum_.size(); ++i) sum_[i] += weight * value[i];
      total += weight;
    }
    float* to = run.f32(out_) + query * dv_;
    for (size_t i = 0; i < sum_.size(); ++i) to[i] = static_cast<float>(sum_[i] / total);
  }

  ValueId q_, k_, v_, out_;
  EncoderAttentionSpec spec_;
  int64_t heads_ = 0, groups_ = 0, dk_ = 0, dv_ = 0;
  std::vector<double> sum_;
};

void pool_rows(const float* x, int64_t n, int64_t d, PoolMode mode, float* y) {
  if (mode != PoolMode::mean) {
    std::copy_n(x + (mode == PoolMode::first ? 0 : n - 1) * d, d, y);
    return;
  }
  for (int64_t i = 0; i < d; ++i) {
    double sum = 0;
    for (int64_t r = 0; r < n; ++r) sum += x[r * d + i];
    y[i] = static_cast<float>(sum / static_cast<double>(n));
  }
}

}  // namespace

Kernel make_encoder_attention(Run& setup, const Node& node) { return EncoderAttention(setup, node); }

Kernel make_pool(Run&, const Node& node) {
  return [x = node.inputs[0], rows = node.inputs[1], out = node.outputs[0], mode = pool_mode(node)](Run& run) {
    const int64_t d = run.width(x);
    for (int64_t r = 0; r < run.extent(kDimRows); ++r) {
      const int32_t row = run.i32(rows)[r];
      for (const SeqRows& seq : run.batch().seqs)
        if (row >= seq.first_row && row < seq.first_row + seq.n_rows)
          pool_rows(run.f32(x) + seq.first_row * d, seq.n_rows, d, mode, run.f32(out) + r * d);
    }
  };
}

}  // namespace tenon::reference
