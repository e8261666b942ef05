// Greedy choice, filters and the draw. See sampler.hpp for their order.
#include "engine/sampler.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"

namespace tenon {
namespace {

struct Best {
  float logit = -std::numeric_limits<float>::infinity();
  int32_t id = -1;
  bool valid = true;
};

Best find_best(std::span<const float> logits) {
  Best best;
  for (size_t i = 0; i < logits.size(); ++i) {
    const float x = logits[i];
    if (std::isnan(x) || x == std::numeric_limits<float>::infinity()) best.valid = false;
    if (x > best.logit) {
      best.logit = x;
      best.id = static_cast<int32_t>(i);
    }
  }
  best.valid = best.valid && best.id >= 0;
  return best;
}

// The finaliser of splitmix64 (Steele, Lea, Flood 2014).
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Larger logits first, the lower id among equals.
constexpr auto kBetter = [](const auto& a, const auto& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
};

}  // namespace

void SamplingParams::validate() const {
  const auto in = [](float x, float low, float high) { return x >= low && x <= high; };
  if (!in(temperature, 0, 1e4f)) fail(ErrorCode::usage, "[sampling] temperature {} is outside 0 ... 1e4", temperature);
  if (top_k < 0) fail(ErrorCode::usage, "[sampling] top_k {} is negative", top_k);
  if (!in(top_p, 0, 1)) fail(ErrorCode::usage, "[sampling] top_p {} is outside 0 ... 1", top_p);
  if (!in(min_p, 0, 1)) fail(ErrorCode::usage, "[sampling] min_p {} is outside 0 ... 1", min_p);
}

double uniform_at(uint64_t seed, uint64_t step) {
  constexpr uint64_t kGolden = 0x9e3779b97f4a7c15u;
  const uint64_t x = mix(mix(seed + kGolden) + (step + 1) * kGolden);
  return static_cast<double>(x >> 11) * 0x1p-53;
}

std::optional<int32_t> Sampler::sample(std::span<const float> logits, const SamplingParams& params, uint64_t step) {
  const Best best = find_best(logits);
  if (!best.valid) return std::nullopt;
  if (params.temperature == 0 || params.top_k == 1) return best.id;

  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i)
    if (logits[i] != -std::numeric_limits<float>::infinity())
      candidates_.push_back({logits[i], static_cast<int32_t>(i)});
  keep_top_k(params.top_k);
  keep_top_p(params.top_p);
  keep_min_p(params.min_p, best.logit);
  return draw(params.temperature, best.logit, uniform_at(params.seed, step));
}

void Sampler::keep_top_k(int32_t k) {
  if (k <= 0 || static_cast<size_t>(k) >= candidates_.size()) return;
  std::nth_element(candidates_.begin(), candidates_.begin() + k, candidates_.end(), kBetter);
  candidates_.resize(static_cast<size_t>(k));
}

// Keeps the fewest most probable tokens whose probabilities reach p, at least one. A heap: p is reached early.
void Sampler::keep_top_p(float p) {
  if (p >= 1) return;
  const auto worse = [](const Candidate& a, const Candidate& b) { return kBetter(b, a); };
  std::make_heap(candidates_.begin(), candidates_.end(), worse);
  const float largest = candidates_.front().logit;
  double total = 0;
  for (const Candidate& c : candidates_) total += std::exp(static_cast<double>(c.logit - largest));

  auto end = candidates_.end();
  double sum = 0;
  do {
    std::pop_heap(candidates_.begin(), end--, worse);
    sum += std::exp(static_cast<double>(end->logit - largest));
  } while (sum < p * total && end != candidates_.begin());
  candidates_.erase(candidates_.begin(), end);
}

void Sampler::keep_min_p(float p, float largest) {
  if (p <= 0) return;
  const float least = largest + std::log(p);
  std::erase_if(candidates_, [least](const Candidate& c) { return c.logit < least; });
}

int32_t Sampler::draw(float temperature, float largest, double u) {
  // Id order: two nearly equal logits that swap places must not move the borders between the tokens.
  const auto by_id = [](const Candidate& a, const Candidate& b) { return a.id < b.id; };
  if (!std::is_sorted(candidates_.begin(), candidates_.end(), by_id))
    std::sort(candidates_.begin(), candidates_.end(), by_id);
  weights_.clear();
  double total = 0;
  for (const Candidate& c : candidates_) {
    total += std::exp(static_cast<double>(c.logit - largest) / temperature);
    weights_.push_back(total);
  }
  const auto at = std::upper_bound(weights_.begin(), weights_.end(), u * total);
  const auto index = std::min<size_t>(static_cast<size_t>(at - weights_.begin()), candidates_.size() - 1);
  return candidates_[index].id;
}

}  // namespace tenon
