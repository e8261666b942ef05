// linear_per_head, and latent attention as its contract defines it, one query head at a time: in float64 it is the same
// whether k_b meets the keys or the query.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "backend/reference/run.hpp"
#include "base/error.hpp"

namespace tenon::reference {

namespace {

class LatentAttention {
 public:
  LatentAttention(Run& setup, const Node& node)
      : in_(node.inputs), out_(node.outputs[0]), state_(node.states[0]), spec_(mla_spec(setup.graph(), node)) {
    row_.resize(static_cast<size_t>(spec_.latent + spec_.rotary));
    query_.resize(row_.size());
    sum_.resize(static_cast<size_t>(spec_.latent));
  }

  void operator()(Run& run) {
    for (const SeqRows& seq : run.batch().seqs) {
      const int64_t end = int64_t{seq.pos} + seq.n_rows;
      const size_t group = run.states().group(state_);
      if (group >= seq.pages.size() || std::cmp_less(seq.pages[group].size(), (end + kPageTokens - 1) / kPageTokens))
        fail(ErrorCode::internal, "[tenon.mla_attention/1] pages for fewer than {} positions", end);
      pages_ = seq.pages[group];
      append(run, seq);
      for (int64_t r = 0; r < seq.n_rows; ++r)
        for (int64_t h = 0; h < spec_.heads; ++h) attend(run, seq.first_row + r, int64_t{seq.pos} + r, h);
    }
  }

 private:
  int32_t page(int64_t position) const { return pages_[static_cast<size_t>(position / kPageTokens)]; }

  void append(Run& run, const SeqRows& seq) {
    for (int64_t r = 0; r < seq.n_rows; ++r) {
      const int64_t p = seq.pos + r, t = seq.first_row + r;
      std::copy_n(run.f32(in_[2]) + t * spec_.latent, spec_.latent, row_.begin());
      std::copy_n(run.f32(in_[3]) + t * spec_.rotary, spec_.rotary, row_.begin() + spec_.latent);
      run.states().write(state_, States::Part::keys, page(p), 0, p % kPageTokens, row_.data());
    }
  }

  /// [q_nope k_b | q_pe]: what meets a latent row.
  void load_query(Run& run, int64_t t, int64_t h) {
    const float* nope = run.f32(in_[0]) + (t * spec_.heads + h) * spec_.nope;
    std::fill(query_.begin(), query_.end(), 0.0);
    if (spec_.k_b_transposed) {
      for (int64_t l = 0; l < spec_.latent; ++l)
        query_[static_cast<size_t>(l)] = dot(nope, run.weight_row(in_[4], h * spec_.latent + l), spec_.nope);
    } else {
      for (int64_t n = 0; n < spec_.nope; ++n) {
        const float* row = run.weight_row(in_[4], h * spec_.nope + n);
        for (int64_t l = 0; l < spec_.latent; ++l)
          query_[static_cast<size_t>(l)] += static_cast<double>(nope[n]) * row[l];
      }
    }
    const float* pe = run.f32(in_[1]) + (t * spec_.heads + h) * spec_.rotary;
    std::copy_n(pe, spec_.rotary, query_.begin() + spec_.latent);
  }

  void attend(Run& run, int64_t t, int64_t position, int64_t h) {
    load_query(run, t, h);
    double top = -std::numeric_limits<double>::infinity(), total = 0;
    std::fill(sum_.begin(), sum_.end(), 0.0);
    for (int64_t key = 0; key <= position; ++key) {
      run.states().read(state_, States::Part::keys, page(key), 0, key % kPageTokens, row_.data());
      double score = 0;
      for (size_t i = 0; i < row_.size(); ++i) score += query_[i] * row_[i];
      score *= spec_.scale;
      const double next = std::max(top, score), shrink = std::exp(top - next), weight = std::exp(score - next);
      for (size_t i = 0; i < sum_.size(); ++i) sum_[i] = sum_[i] * shrink + weight * row_[i];
      total = total * shrink + weight;
      top = next;
    }
    float* to = run.f32(out_) + (t * spec_.heads + h) * spec_.value;
    for (int64_t v = 0; v < spec_.value; ++v) {
      const float* row = run.weight_row(in_[5], h * spec_.value + v);
      double y = 0;
      for (size_t i = 0; i < sum_.size(); ++i) y += sum_[i] * row[i];
      to[v] = static_cast<float>(y / total);
    }
  }

  std::vector<ValueId> in_;
  ValueId out_;
  StateId state_;
  MlaSpec spec_;
  std::vector<float> row_;
  std::vector<double> query_, sum_;
  std::span<const int32_t> pages_;  // of the sequence at work
};

}  // namespace

Kernel make_linear_per_head(Run&, const Node& node) {
  return [x = node.inputs[0], w = node.inputs[1], out = node.outputs[0]](Run& run) {
    const Shape& shape = run.graph().value(w).shape;  // [H, N, K]
    const int64_t rows = run.rows(x) / shape[0];
    for (int64_t h = 0; h < shape[0]; ++h)
      for (int64_t n = 0; n < shape[1]; ++n) {
        const float* row = run.weight_row(w, h * shape[1] + n);
        for (int64_t t = 0; t < rows; ++t)
          run.f32(out)[(t * shape[0] + h) * shape[1] + n] =
              static_cast<float>(dot(run.f32(x) + (t * shape[0] + h) * shape[2], row, shape[2]));
      }
  };
}

Kernel make_mla_attention(Run& setup, const Node& node) { return LatentAttention(setup, node); }

}  // namespace tenon::reference
