// The sampler: determinism, distributions, filters, hostile logits.
#include "engine/sampler.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <map>

#include "base/error.hpp"

using namespace tenon;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::map<int32_t, double> frequencies(const std::vector<float>& logits, SamplingParams params, int draws = 40000) {
  Sampler sampler;
  std::map<int32_t, double> share;
  for (int i = 0; i < draws; ++i) share[*sampler.sample(logits, params, static_cast<uint64_t>(i))] += 1.0 / draws;
  return share;
}

std::vector<float> logs(std::vector<double> p) {
  std::vector<float> out;
  for (double x : p) out.push_back(static_cast<float>(std::log(x)));
  return out;
}

}  // namespace

TEST_CASE("greedy takes the largest, the lower id among equals") {
  Sampler sampler;
  CHECK(sampler.sample(std::vector<float>{1, 5, 5, 2}, {}, 0) == 1);
  CHECK(sampler.sample(std::vector<float>{-3, -1, -2}, {}, 9) == 1);
  CHECK(sampler.sample(std::vector<float>{1, 5, 5, 2}, {.temperature = 2, .top_k = 1, .seed = 4}, 3) == 1);
}

TEST_CASE("the same seed and step give the same token, others differ") {
  const std::vector<float> logits(1000, 0.0f);
  const SamplingParams params{.temperature = 1, .seed = 42};
  Sampler a, b;
  b.sample(logits, {.temperature = 1, .seed = 1}, 0);
  int same_as_other_seed = 0;
  for (uint64_t step = 0; step < 200; ++step) {
    CHECK(a.sample(logits, params, step) == b.sample(logits, params, step));
    same_as_other_seed += a.sample(logits, params, step) == a.sample(logits, {.temperature = 1, .seed = 43}, step);
  }
  CHECK(same_as_other_seed < 5);
}

TEST_CASE("draws follow the softmax at the temperature") {
  const auto logits = logs({0.5, 0.3, 0.15, 0.05});
  auto plain = frequencies(logits, {.temperature = 1, .seed = 7});
  CHECK(plain[0] == doctest::Approx(0.5).epsilon(0.03));
  CHECK(plain[1] == doctest::Approx(0.3).epsilon(0.03));
  CHECK(plain[3] == doctest::Approx(0.05).epsilon(0.1));
  auto cold = frequencies(logits, {.temperature = 0.5f, .seed = 7});
  const double total = 0.25 + 0.09 + 0.0225 + 0.0025;
  CHECK(cold[0] == doctest::Approx(0.25 / total).epsilon(0.03));
  CHECK(cold[2] == doctest::Approx(0.0225 / total).epsilon(0.08));
}

TEST_CASE("filters keep what they say, in the order top_k, top_p, min_p, temperature") {
  const auto logits = logs({0.05, 0.5, 0.15, 0.3});
  const auto kept = [&](SamplingParams p) {
    p.seed = 3;
    std::vector<int32_t> ids;
    for (auto [id, share] : frequencies(logits, p, 4000)) ids.push_back(id);
    return ids;
  };
  CHECK(kept({.temperature = 1, .top_k = 2}) == std::vector<int32_t>{1, 3});
  CHECK(kept({.temperature = 1, .top_p = 0.75f}) == std::vector<int32_t>{1, 3});
  CHECK(kept({.temperature = 1, .top_p = 0.85f}) == std::vector<int32_t>{1, 2, 3});
  CHECK(kept({.temperature = 1, .top_p = 0}) == std::vector<int32_t>{1});
  CHECK(kept({.temperature = 1, .min_p = 0.25f}) == std::vector<int32_t>{1, 2, 3});
  CHECK(kept({.temperature = 1, .min_p = 1}) == std::vector<int32_t>{1});
  // Among the best two 0.5 is 62 %: top_p looks at what top_k left.
  CHECK(kept({.temperature = 1, .top_k = 2, .top_p = 0.6f}) == std::vector<int32_t>{1});
  // A high temperature flattens afterwards only.
  CHECK(kept({.temperature = 50, .min_p = 0.25f}) == std::vector<int32_t>{1, 2, 3});
}

TEST_CASE("among equals a filter keeps the lower ids") {
  const std::vector<float> logits(8, 1.0f);
  for (auto [id, share] : frequencies(logits, {.temperature = 1, .top_k = 3}, 2000)) CHECK(id < 3);
  for (auto [id, share] : frequencies(logits, {.temperature = 1, .top_p = 0.5f}, 2000)) CHECK(id < 4);
}

TEST_CASE("last bits of logits do not move the draw") {
  std::vector<float> logits, nudged;
  for (int i = 0; i < 500; ++i) {
    logits.push_back(static_cast<float>(uniform_at(1, static_cast<uint64_t>(i))));
    nudged.push_back(std::nextafter(logits.back(), i % 2 ? 9.0f : -9.0f));
  }
  Sampler sampler;
  int moved = 0;
  for (uint64_t step = 0; step < 1000; ++step)
    moved += sampler.sample(logits, {.temperature = 1}, step) != sampler.sample(nudged, {.temperature = 1}, step);
  CHECK(moved <= 1);
}

TEST_CASE("hostile logits and values") {
  Sampler sampler;
  for (float temperature : {0.0f, 1.0f}) {
    const SamplingParams p{.temperature = temperature};
    CHECK_FALSE(sampler.sample(std::vector<float>{1, kNan, 2}, p, 0));
    CHECK_FALSE(sampler.sample(std::vector<float>{1, kInf, 2}, p, 0));
    CHECK_FALSE(sampler.sample(std::vector<float>{-kInf, -kInf}, p, 0));
    CHECK_FALSE(sampler.sample(std::vector<float>{}, p, 0));
    CHECK(sampler.sample(std::vector<float>{-kInf, -1e30f, -kInf}, p, 0) == 1);
  }
  CHECK(sampler.sample(std::vector<float>{3e38f, -3e38f}, {.temperature = 1e-30f, .top_p = 0.5f, .min_p = 0.5f}, 0) ==
        0);
  CHECK_THROWS_AS((SamplingParams{.temperature = -1}).validate(), Error);
  CHECK_THROWS_AS((SamplingParams{.temperature = kNan}).validate(), Error);
  CHECK_THROWS_AS((SamplingParams{.top_k = -1}).validate(), Error);
  CHECK_THROWS_AS((SamplingParams{.top_p = 1.5f}).validate(), Error);
  CHECK_THROWS_AS((SamplingParams{.min_p = kInf}).validate(), Error);
}
