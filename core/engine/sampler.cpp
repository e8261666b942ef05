// Adjustments, greedy choice, filters and the draw. See sampler.hpp for their order.
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

/// A finite logit stays finite; one that is not is left to the checks that follow.
float finite(float before, float after) {
  constexpr float kMax = std::numeric_limits<float>::max();
  return std::isfinite(before) ? std::clamp(after, -kMax, kMax) : before;
}

constexpr float kNever = -std::numeric_limits<float>::infinity();

void forbid_others(std::span<float> logits, std::span<const float> raw, const AllowedIds& allowed) {
  for (size_t i = 0; i < logits.size(); ++i) {
    const size_t word = i / 64;
    if (word >= allowed.mask.size() || !(allowed.mask[word] >> (i % 64) & 1)) logits[i] = kNever;
  }
  for (int32_t id : allowed.others)
    if (id >= 0 && static_cast<size_t>(id) < logits.size())
      logits[static_cast<size_t>(id)] = raw[static_cast<size_t>(id)];
}

}  // namespace

void SamplingParams::validate() const {
  const auto in = [](float x, float low, float high) { return x >= low && x <= high; };
  if (!in(temperature, 0, 1e4f)) fail(ErrorCode::usage, "[sampling] temperature {} is outside 0 ... 1e4", temperature);
  if (top_k < 0) fail(ErrorCode::usage, "[sampling] top_k {} is negative", top_k);
  if (!in(top_p, 0, 1)) fail(ErrorCode::usage, "[sampling] top_p {} is outside 0 ... 1", top_p);
  if (!in(min_p, 0, 1)) fail(ErrorCode::usage, "[sampling] min_p {} is outside 0 ... 1", min_p);
  if (!in(repetition_penalty, std::numeric_limits<float>::min(), 1e4f))
    fail(ErrorCode::usage, "[sampling] repetition_penalty {} is not above 0 and at most 1e4", repetition_penalty);
  if (!in(presence_penalty, -2, 2))
    fail(ErrorCode::usage, "[sampling] presence_penalty {} is outside -2 ... 2", presence_penalty);
  if (!in(frequency_penalty, -2, 2))
    fail(ErrorCode::usage, "[sampling] frequency_penalty {} is outside -2 ... 2", frequency_penalty);
  for (const auto& [id, bias] : logit_bias) {
    if (id < 0) fail(ErrorCode::usage, "[sampling] logit_bias names the id {}", id);
    if (!in(bias, -100, 100))
      fail(ErrorCode::usage, "[sampling] logit_bias {} of id {} is outside -100 ... 100", bias, id);
  }
}

uint64_t answer_seed(uint64_t seed, uint64_t answer) {
  return answer == 0 ? seed : mix(mix(seed + 0x632be59bd9b4e019u) + answer * 0x9e3779b97f4a7c15u);
}

double uniform_at(uint64_t seed, uint64_t step) {
  constexpr uint64_t kGolden = 0x9e3779b97f4a7c15u;
  const uint64_t x = mix(mix(seed + kGolden) + (step + 1) * kGolden);
  return static_cast<double>(x >> 11) * 0x1p-53;
}

TokenHistory::Entry& TokenHistory::entry(int32_t id) {
  const auto [at, fresh] = index_.try_emplace(id, entries_.size());
  if (fresh) entries_.push_back({id, 0});
  return entries_[at->second];
}

void TokenHistory::add_prompt(std::span<const int32_t> ids) {
  for (int32_t id : ids) entry(id);
}

TokenLogprobs token_logprobs(std::span<const float> logits, int32_t token, int32_t n_top) {
  const float largest = find_best(logits).logit;
  double sum = 0;
  for (float x : logits) sum += std::exp(static_cast<double>(x) - largest);
  const double log_sum = std::log(sum) + largest;
  const auto logprob = [&](float x) { return static_cast<float>(x - log_sum); };

  struct Candidate {
    float logit;
    int32_t id;
  };
  std::vector<Candidate> best;  // a heap with the least of the best in front
  const auto room = static_cast<size_t>(std::max(n_top, 0));
  for (size_t i = 0; i < logits.size() && room > 0; ++i) {
    if (logits[i] == -std::numeric_limits<float>::infinity()) continue;
    if (best.size() == room && logits[i] <= best.front().logit) continue;
    best.push_back({logits[i], static_cast<int32_t>(i)});
    std::push_heap(best.begin(), best.end(), kBetter);
    if (best.size() <= room) continue;
    std::pop_heap(best.begin(), best.end(), kBetter);
    best.pop_back();
  }
  std::sort(best.begin(), best.end(), kBetter);
  TokenLogprobs out{.logprob = logprob(logits[static_cast<size_t>(token)])};
  for (const Candidate& c : best) out.top.emplace_back(c.id, logprob(c.logit));
  return out;
}

std::span<const float> Sampler::adjust(std::span<const float> logits, const SamplingParams& params,
                                       const TokenHistory* history, const AllowedIds* allowed) {
  const bool penalise = history && params.has_penalties();
  if (!penalise && !allowed && params.logit_bias.empty()) return logits;
  adjusted_.assign(logits.begin(), logits.end());
  if (allowed) forbid_others(adjusted_, logits, *allowed);
  for (const auto& [id, bias] : params.logit_bias)
    if (static_cast<size_t>(id) < adjusted_.size()) {
      float& x = adjusted_[static_cast<size_t>(id)];
      x = finite(x, x + bias);
    }
  if (!penalise) return adjusted_;
  for (const auto& [id, generated] : history->entries()) {
    float& x = adjusted_[static_cast<size_t>(id)];
    x = finite(x, x < 0 ? x * params.repetition_penalty : x / params.repetition_penalty);
    const float times = params.frequency_penalty * static_cast<float>(generated);
    x = finite(x, x - times - (generated > 0 ? params.presence_penalty : 0));
  }
  return adjusted_;
}

std::optional<int32_t> Sampler::sample(std::span<const float> raw, const SamplingParams& params, uint64_t step,
                                       const TokenHistory* history, const AllowedIds* allowed) {
  const auto logits = adjust(raw, params, history, allowed);
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
