// Inverse frequencies of rotary embeddings under each scaling kind, in float64.
// Written from the formulas of transformers' modeling_rope_utils as the architecture notes give them.
#include <algorithm>
#include <cmath>

#include "graph/catalogue.hpp"

namespace tenon {

namespace {

double plain(const RopeSpec& spec, double base, int64_t j) {
  return std::pow(base, -2.0 * static_cast<double>(j) / static_cast<double>(spec.n_rot));
}

double dynamic_base(const RopeSpec& spec, int64_t planned_len) {
  if (spec.n_rot <= 2) return spec.base;  // one pair: its frequency is 1 at any base
  const auto n = static_cast<double>(spec.n_rot);
  const auto trained = static_cast<double>(spec.original_ctx);
  const double length = std::max(static_cast<double>(planned_len), trained);
  return spec.base * std::pow(spec.factor * length / trained - (spec.factor - 1), n / (n - 2));
}

double smoothed(const RopeSpec& spec, double inv) {
  const double wavelength = 2 * M_PI / inv;
  const auto trained = static_cast<double>(spec.original_ctx);
  if (wavelength < trained / spec.high_freq_factor) return inv;
  if (wavelength > trained / spec.low_freq_factor) return inv / spec.factor;
  const double s = (trained / wavelength - spec.low_freq_factor) / (spec.high_freq_factor - spec.low_freq_factor);
  return (1 - s) * inv / spec.factor + s * inv;
}

struct Ramp {
  double low, high;
  double at(int64_t j) const { return std::clamp((static_cast<double>(j) - low) / (high - low), 0.0, 1.0); }
};

Ramp yarn_ramp(const RopeSpec& spec) {
  const auto n = static_cast<double>(spec.n_rot);
  const auto dim = [&](double turns) {
    return n * std::log(static_cast<double>(spec.original_ctx) / (2 * M_PI * turns)) / (2 * std::log(spec.base));
  };
  double low = dim(spec.beta_fast), high = dim(spec.beta_slow);
  if (spec.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::clamp(low, 0.0, n - 1);
  high = std::clamp(high, 0.0, n - 1);
  if (low == high) high += 0.001;
  return {low, high};
}

}  // namespace

bool rope_depends_on_length(const RopeSpec& spec) {
  return spec.scaling == RopeScaling::dynamic || spec.scaling == RopeScaling::longrope;
}

double rope_choice(const RopeSpec& spec, int64_t planned_len) {
  if (spec.scaling == RopeScaling::dynamic) return dynamic_base(spec, planned_len);
  return spec.scaling == RopeScaling::longrope && planned_len > spec.original_ctx ? 1 : 0;
}

double rope_magnitude(const RopeSpec& spec, int64_t planned_len) {
  const bool is_long = spec.scaling == RopeScaling::longrope && planned_len > spec.original_ctx;
  return is_long ? spec.long_magnitude : spec.magnitude;
}

std::vector<float> rope_inv_freq(const RopeSpec& spec, std::span<const float> freq_factors, int64_t planned_len) {
  const double base = spec.scaling == RopeScaling::dynamic ? dynamic_base(spec, planned_len) : spec.base;
  const std::vector<double>& factors = planned_len > spec.original_ctx ? spec.long_factors : spec.short_factors;
  const Ramp ramp = spec.scaling == RopeScaling::yarn ? yarn_ramp(spec) : Ramp{0, 1};
  std::vector<float> result(static_cast<size_t>(spec.n_rot / 2));
  for (size_t j = 0; j < result.size(); ++j) {
    const auto index = static_cast<int64_t>(j);
    double inv = plain(spec, base, index);
    if (spec.scaling == RopeScaling::linear) inv /= spec.factor;
    if (spec.scaling == RopeScaling::smooth) inv = smoothed(spec, inv);
    if (spec.scaling == RopeScaling::yarn) inv *= ramp.at(index) / spec.factor + 1 - ramp.at(index);
    if (spec.scaling == RopeScaling::longrope) inv /= factors[j];
    if (!freq_factors.empty()) inv /= static_cast<double>(freq_factors[j]);
    result[j] = static_cast<float>(inv);
  }
  return result;
}

}  // namespace tenon
