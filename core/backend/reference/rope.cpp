// Rotary embedding. Angles are float32 products, as the models' own code computes them.
#include <algorithm>
#include <cmath>

#include "backend/reference/run.hpp"

namespace tenon::reference {

namespace {

/// One head, in place.
void turn(float* head, const RopeSpec& spec, const float* inv_freq, double magnitude, int32_t position) {
  const int64_t half = spec.n_rot / 2;
  const bool neox = spec.layout == RopeLayout::neox;
  for (int64_t j = 0; j < half; ++j) {
    const float angle = static_cast<float>(position) * inv_freq[j];
    const double c = std::cos(static_cast<double>(angle)) * magnitude;
    const double s = std::sin(static_cast<double>(angle)) * magnitude;
    float& first = head[neox ? j : 2 * j];
    float& second = head[neox ? j + half : 2 * j + 1];
    const double a = first, b = second;
    first = static_cast<float>(a * c - b * s);
    second = static_cast<float>(a * s + b * c);
  }
}

}  // namespace

Kernel make_rope(Run& setup, const Node& node) {
  RopeSpec spec = rope_spec(node);
  std::vector<float> factors;
  if (node.inputs.size() > 2 && node.inputs[2]) {
    const float* row = setup.vector(node.inputs[2]);
    factors.assign(row, row + spec.n_rot / 2);
  }
  const auto [short_id, long_id] = rope_factor_lists(node);
  if (short_id) {
    const float *shorts = setup.vector(short_id), *longs = setup.vector(long_id, Run::Slot::second);
    spec.short_factors.assign(shorts, shorts + spec.n_rot / 2);
    spec.long_factors.assign(longs, longs + spec.n_rot / 2);
  }
  const std::vector<float> fixed = rope_inv_freq(spec, factors, 0);
  return [x = node.inputs[0], positions = node.inputs[1], out = node.outputs[0], spec, factors, fixed](Run& run) {
    const Shape& shape = run.graph().value(x).shape;
    std::copy_n(run.f32(x), run.elements(x), run.f32(out));
    for (const SeqRows& seq : run.batch().seqs) {
      // The two length-dependent kinds recompute their table here: a per-sequence choice, and speed is no aim.
      const std::vector<float> own =
          rope_depends_on_length(spec) ? rope_inv_freq(spec, factors, seq.planned_len) : std::vector<float>{};
      const double magnitude = rope_magnitude(spec, seq.planned_len);
      const std::vector<float>& inv_freq = own.empty() ? fixed : own;
      for (int64_t t = seq.first_row; t < seq.first_row + seq.n_rows; ++t)
        for (int64_t h = 0; h < shape[1]; ++h)
          turn(run.f32(out) + (t * shape[1] + h) * shape[2], spec, inv_freq.data(), magnitude, run.i32(positions)[t]);
    }
  };
}

}  // namespace tenon::reference
