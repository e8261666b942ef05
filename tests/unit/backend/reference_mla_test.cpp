// Reference latent attention against the paper's expanded form, recomputed without pages, chunks or batches.
#include <doctest/doctest.h>

#include <cmath>

#include "step.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {

constexpr int64_t kHeads = 3, kNope = 5, kRotary = 4, kValue = 6, kLatent = 7, kVocab = 60;
constexpr int64_t kQuery = kHeads * (kNope + kRotary), kWidth = kQuery + kLatent + kRotary;

/// Weights: 0 the table of rows [q_nope | q_pe | c | k_pe], then k_b and v_b.
TestModel latent_model(bool transposed) {
  TestModel m;
  const ValueId x = m.op("tenon.embed/1", {m.input("tokens"), m.random_weight("t", {kVocab, kWidth}, 31)});
  const ValueId nope = m.heads(m.slice(x, 0, kHeads * kNope), kHeads, kNope);
  const ValueId pe = m.heads(m.slice(x, kHeads * kNope, kHeads * kRotary), kHeads, kRotary);
  const ValueId c = m.slice(x, kQuery, kLatent), k_pe = m.heads(m.slice(x, kQuery + kLatent, kRotary), 1, kRotary);
  ValueId k_b = m.random_weight("k_b", {kHeads, kNope, kLatent}, 32);
  if (transposed) {
    const auto* from = reinterpret_cast<const float*>(m.weights[1].data);
    std::vector<float> turned;
    for (int64_t h = 0; h < kHeads; ++h)
      for (int64_t l = 0; l < kLatent; ++l)
        for (int64_t n = 0; n < kNope; ++n) turned.push_back(from[(h * kNope + n) * kLatent + l]);
    k_b = m.f32_weight("k_b transposed", {kHeads, kLatent, kNope}, turned);
  }
  const ValueId v_b = m.random_weight("v_b", {kHeads, kValue, kLatent}, 33);
  m.graph.outputs["hidden"] = m.op("tenon.mla_attention/1", {nope, pe, c, k_pe, k_b, v_b},
                                   {{"scale", 0.3}, {"k_b_transposed", int64_t{transposed}}},
                                   {m.slot_state(StateKind::mla_latent, {kLatent + kRotary})});
  return m;
}

std::vector<float> expanded(const TestModel& m, const std::vector<int32_t>& tokens) {
  const auto at = [&m](size_t w, int64_t i) {
    return static_cast<double>(reinterpret_cast<const float*>(m.weights[w].data)[i]);
  };
  std::vector<float> out;
  for (size_t p = 0; p < tokens.size(); ++p)
    for (int64_t h = 0; h < kHeads; ++h) {
      double total = 0, sum[kValue] = {};
      for (size_t s = 0; s <= p; ++s) {
        const int64_t q = tokens[p] * kWidth, row = tokens[s] * kWidth + kQuery;
        double score = 0;
        for (int64_t n = 0; n < kNope; ++n) {
          double key = 0;
          for (int64_t l = 0; l < kLatent; ++l) key += at(1, (h * kNope + n) * kLatent + l) * at(0, row + l);
          score += at(0, q + h * kNope + n) * key;
        }
        for (int64_t r = 0; r < kRotary; ++r)
          score += at(0, q + kHeads * kNope + h * kRotary + r) * at(0, row + kLatent + r);
        const double weight = std::exp(0.3 * score);
        total += weight;
        for (int64_t v = 0; v < kValue; ++v) {
          double value = 0;
          for (int64_t l = 0; l < kLatent; ++l)
            value += at(m.weights.size() - 1, (h * kValue + v) * kLatent + l) * at(0, row + l);
          sum[v] += weight * value;
        }
      }
      for (double v : sum) out.push_back(static_cast<float>(v / total));
    }
  return out;
}

std::vector<int32_t> some_tokens(size_t n) {
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < n; ++i) tokens.push_back(static_cast<int32_t>((i * 17 + i * i % 11) % kVocab));
  return tokens;
}

}  // namespace

TEST_CASE("latent attention equals the expanded form; chunked = whole; the order of k_b is free") {
  const auto backend = make_backend("reference", 1);
  const std::vector<int32_t> tokens = some_tokens(70);
  for (bool transposed : {false, true}) {
    CAPTURE(transposed);
    const TestModel m = latent_model(transposed);
    Runner runner(*backend, m);
    const std::vector<float> whole = runner.step({{tokens, 0, {4, 9, 2}}});
    CHECK(max_difference(whole, expanded(m, tokens)) < 5e-6);
    std::vector<float> chunked;
    for (const auto& [begin, end] : {std::pair<int, int>{0, 31}, {31, 33}, {33, 34}, {34, 70}}) {
      const auto part = runner.step({{{tokens.begin() + begin, tokens.begin() + end}, begin, {7, 1, 3}}});
      chunked.insert(chunked.end(), part.begin(), part.end());
    }
    CHECK(chunked == whole);
  }
}

TEST_CASE("products per head") {
  TestModel m;
  const ValueId x = m.heads(m.feed({{1, 2, 3, 4}, {5, 6, 7, 8}}), 2, 2);
  const ValueId w = m.f32_weight("w", {2, 3, 2}, {1, 0, 0, 1, 1, 1, 2, 0, 0, 2, 1, -1});
  m.graph.outputs["hidden"] = m.op("tenon.linear_per_head/1", {x, w});
  Runner runner(*make_backend("reference", 1), m);
  CHECK(runner.step({{{0, 1}}}) == std::vector<float>{1, 2, 3, 6, 8, -1, 5, 6, 11, 14, 16, -1});
}
