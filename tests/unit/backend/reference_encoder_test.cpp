// Reference attention in both directions and pooling against a full recomputation that knows no batch.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "step.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {

constexpr int64_t kHeads = 4, kGroups = 2, kDk = 6, kDv = 5, kVocab = 80;
constexpr int64_t kWidth = kHeads * kDk + kGroups * (kDk + kDv);

TestModel encoder_model(int64_t radius, double softcap) {
  TestModel m;
  const ValueId x = m.op("tenon.embed/1", {m.input("tokens"), m.random_weight("t", {kVocab, kWidth}, 11)});
  const ValueId q = m.heads(m.slice(x, 0, kHeads * kDk), kHeads, kDk);
  const ValueId k = m.heads(m.slice(x, kHeads * kDk, kGroups * kDk), kGroups, kDk);
  const ValueId v = m.heads(m.slice(x, (kHeads + kGroups) * kDk, kGroups * kDv), kGroups, kDv);
  m.graph.outputs["hidden"] =
      m.op("tenon.encoder_attention/1", {q, k, v}, {{"scale", 0.4}, {"softcap", softcap}, {"radius", radius}});
  return m;
}

/// All probabilities of a row in memory.
std::vector<float> naive(const TestModel& m, int64_t radius, double softcap, const std::vector<int32_t>& tokens) {
  const auto* table = reinterpret_cast<const float*>(m.weights[0].data);
  const auto n = static_cast<int64_t>(tokens.size());
  const auto row = [&](int64_t p) { return table + tokens[static_cast<size_t>(p)] * kWidth; };
  std::vector<float> out;
  for (int64_t p = 0; p < n; ++p)
    for (int64_t h = 0; h < kHeads; ++h) {
      const int64_t g = h / (kHeads / kGroups);
      std::vector<double> sum(kDv, 0.0);
      double total = 0;
      for (int64_t s = 0; s < n; ++s) {
        if (radius >= 0 && std::abs(p - s) > radius) continue;
        const float *q = row(p) + h * kDk, *k = row(s) + (kHeads + g) * kDk;
        double score = 0.4 * std::inner_product(q, q + kDk, k, 0.0);
        if (softcap > 0) score = softcap * std::tanh(score / softcap);
        total += std::exp(score);
        const float* v = row(s) + (kHeads + kGroups) * kDk + g * kDv;
        for (int64_t i = 0; i < kDv; ++i) sum[static_cast<size_t>(i)] += std::exp(score) * v[i];
      }
      for (double x : sum) out.push_back(static_cast<float>(x / total));
    }
  return out;
}

std::vector<int32_t> some_tokens(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(n);
  for (int32_t& t : tokens) t = static_cast<int32_t>(random() % kVocab);
  return tokens;
}

}  // namespace

TEST_CASE("attention in both directions equals a full recomputation; batch = alone") {
  const auto backend = make_backend("reference", 1);
  const std::vector<int32_t> tokens = some_tokens(45, 1), other = some_tokens(20, 2);
  for (int64_t radius : {-1, 0, 3, 44, 500})
    for (double softcap : {0.0, 1.5}) {
      CAPTURE(radius);
      const TestModel m = encoder_model(radius, softcap);
      Runner runner(*backend, m);
      const std::vector<float> whole = runner.step({{tokens}});
      CHECK(max_difference(whole, naive(m, radius, softcap, tokens)) < 2e-6);
      const std::vector<float> both = runner.step({{other}, {tokens}});
      CHECK(std::vector<float>(both.begin() + 20 * kHeads * kDv, both.end()) == whole);
    }
}

TEST_CASE("a sequence that goes on is refused") {
  const auto backend = make_backend("reference", 1);
  Runner runner(*backend, encoder_model(-1, 0));
  CHECK_THROWS_AS(runner.step({{some_tokens(4, 1), 7}}), Error);
}

TEST_CASE("pooling takes the mean, the first or the last row of each row's sequence") {
  const auto backend = make_backend("reference", 1);
  const std::vector<std::vector<float>> rows = {{1, 10}, {2, 20}, {6, 0}, {-1, 8}};
  const auto pooled = [&](const char* mode) {
    TestModel m;
    m.graph.outputs["hidden"] = m.op("tenon.pool/1", {m.feed(rows), m.input("rows")}, {{"mode", std::string(mode)}});
    return Runner(*backend, m).step({{{0, 1, 2}}, {{3}}});  // every row asks
  };
  CHECK(pooled("mean") == std::vector<float>{3, 10, 3, 10, 3, 10, -1, 8});
  CHECK(pooled("first") == std::vector<float>{1, 10, 1, 10, 1, 10, -1, 8});
  CHECK(pooled("last") == std::vector<float>{6, 0, 6, 0, 6, 0, -1, 8});
}
