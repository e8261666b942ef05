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

namespace {

/// The logit differences that an adjustment makes, read off the draws: a two-token distribution at temperature 1.
double logit_gap(const std::vector<float>& logits, const SamplingParams& params, const TokenHistory& history) {
  Sampler sampler;
  int first = 0;
  constexpr int kDraws = 60000;
  for (int i = 0; i < kDraws; ++i) first += sampler.sample(logits, params, static_cast<uint64_t>(i), &history) == 0;
  return std::log(static_cast<double>(first) / (kDraws - first));
}

}  // namespace

TEST_CASE("penalties by their formulas") {
  TokenHistory history;
  history.add_prompt(std::vector<int32_t>{1, 1, 1});
  for (int i = 0; i < 3; ++i) history.add_generated(0);
  const auto gap = [&](std::vector<float> logits, SamplingParams p) {
    p.temperature = 1;
    return logit_gap(logits, p, history);
  };
  const auto near = [](double x) { return doctest::Approx(x).epsilon(0.05); };
  CHECK(gap({1.0f, 0.5f}, {}) == near(0.5));
  // Over prompt and answer; towards minus infinity on both sides of zero.
  CHECK(gap({2.0f, 3.0f}, {.repetition_penalty = 2}) == near(1.0 - 1.5));
  CHECK(gap({-0.5f, 1.0f}, {.repetition_penalty = 2}) == near(-1.0 - 0.5));
  // Over the answer alone: the prompt's token keeps its logit.
  CHECK(gap({1.0f, 0.5f}, {.presence_penalty = 1}) == near(0.5 - 1));
  CHECK(gap({1.0f, 0.5f}, {.frequency_penalty = 0.5f}) == near(0.5 - 1.5));
  CHECK(gap({1.0f, 0.5f}, {.presence_penalty = -0.5f, .frequency_penalty = 0.5f}) == near(0.5 - 1));
  CHECK(gap({1.0f, 0.5f}, {.logit_bias = {{1, 1.5f}}}) == near(-1.0));
  // The bias comes first and is penalised with the logit.
  CHECK(gap({1.0f, 1.0f}, {.repetition_penalty = 2, .logit_bias = {{0, 1.0f}}}) == near(0.5));
}

TEST_CASE("adjustments hold at temperature 0 and keep hostile logits out") {
  Sampler sampler;
  TokenHistory history;
  history.add_generated(1);
  const std::vector<float> logits{1, 5, 4};
  CHECK(sampler.sample(logits, {.presence_penalty = 2}, 0, &history) == 2);
  CHECK(sampler.sample(logits, {.presence_penalty = 2}, 0) == 1);
  CHECK(sampler.sample(logits, {.logit_bias = {{0, 100.0f}}}, 0) == 0);
  CHECK(sampler.sample(logits, {.logit_bias = {{77, 100.0f}}}, 0) == 1);
  const SamplingParams strong{.repetition_penalty = 1e-30f, .logit_bias = {{1, 100.0f}}};
  CHECK(sampler.sample(std::vector<float>{1, 3e38f, 4}, strong, 0, &history) == 1);
  CHECK_FALSE(sampler.sample(std::vector<float>{1, kInf, 4}, strong, 0, &history));
  CHECK_FALSE(sampler.sample(std::vector<float>{1, kNan, 4}, strong, 0, &history));
  CHECK(sampler.sample(std::vector<float>{1, -kInf, 4}, strong, 0, &history) == 2);
}

TEST_CASE("logprobs are the log-softmax of the model's own logits") {
  const auto logits = logs({0.5, 0.3, 0.15, 0.05});
  const auto got = token_logprobs(logits, 3, 2);
  CHECK(got.logprob == doctest::Approx(std::log(0.05)));
  REQUIRE(got.top.size() == 2);
  CHECK(got.top[0].first == 0);
  CHECK(got.top[0].second == doctest::Approx(std::log(0.5)));
  CHECK(got.top[1].first == 1);
  CHECK(token_logprobs(logits, 0, 0).top.empty());
  CHECK(token_logprobs(logits, 0, 20).top.size() == 4);
  const auto equal = token_logprobs(std::vector<float>(50, 7.0f), 49, 3);
  CHECK(equal.top[0].first == 0);
  CHECK(equal.top[2].first == 2);
  CHECK(equal.logprob == doctest::Approx(-std::log(50.0)));
  const auto wide = token_logprobs(std::vector<float>{3e38f, -3e38f, -kInf}, 0, 3);
  CHECK(wide.logprob == 0);
  CHECK(wide.top.size() == 2);
}

TEST_CASE("every field is checked by name") {
  const auto message = [](SamplingParams p) {
    try {
      p.validate();
    } catch (const Error& e) {
      CHECK(e.code() == ErrorCode::usage);
      return std::string(e.what());
    }
    return std::string();
  };
  for (float bad : {kNan, kInf, -kInf, -3.0f}) {
    const auto names = [&](const SamplingParams& p, const char* field) {
      CHECK(message(p).find(fmt::format("{} {}", field, bad)) != std::string::npos);
    };
    names({.temperature = bad}, "temperature");
    names({.top_p = bad}, "top_p");
    names({.min_p = bad}, "min_p");
    names({.repetition_penalty = bad}, "repetition_penalty");
    names({.presence_penalty = bad}, "presence_penalty");
    names({.frequency_penalty = bad}, "frequency_penalty");
    if (bad != -3.0f) names({.logit_bias = {{4, bad}}}, "logit_bias");
  }
  CHECK(message({.top_k = -2}) == "[sampling] top_k -2 is negative");
  CHECK(message({.repetition_penalty = 0}).find("repetition_penalty 0 ") != std::string::npos);
  CHECK(message({.presence_penalty = 2.5f}) == "[sampling] presence_penalty 2.5 is outside -2 ... 2");
  CHECK(message({.logit_bias = {{4, 101.0f}}}) == "[sampling] logit_bias 101 of id 4 is outside -100 ... 100");
  CHECK(message({.logit_bias = {{-1, 1.0f}}}) == "[sampling] logit_bias names the id -1");
  CHECK(message({.repetition_penalty = 1.3f, .presence_penalty = -2, .logit_bias = {{0, -100.0f}}}).empty());
}

TEST_CASE("seeds of several answers") {
  CHECK(answer_seed(42, 0) == 42);
  std::map<uint64_t, int> seen;
  for (uint64_t seed : {0u, 1u, 42u})
    for (uint64_t answer = 0; answer < 128; ++answer) ++seen[answer_seed(seed, answer)];
  CHECK(seen.size() == 3 * 128);
}
