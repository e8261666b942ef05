// Reference attention against a full recomputation that knows no pages, chunks or batches.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "step.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {

constexpr int64_t kHeads = 4, kGroups = 2, kDk = 6, kDv = 5, kVocab = 80;
constexpr int64_t kWidth = kHeads * kDk + kGroups * (kDk + kDv);

struct Case {
  int64_t window = 0;
  double softcap = 0;
  bool sinks = false;
  std::vector<double> alibi = {};
};

TestModel attention_model(const Case& c) {
  TestModel m;
  const ValueId x = m.op("tenon.embed/1", {m.input("tokens"), m.random_weight("t", {kVocab, kWidth}, 11)});
  const ValueId q = m.heads(m.slice(x, 0, kHeads * kDk), kHeads, kDk);
  const ValueId k = m.heads(m.slice(x, kHeads * kDk, kGroups * kDk), kGroups, kDk);
  const ValueId v = m.heads(m.slice(x, (kHeads + kGroups) * kDk, kGroups * kDv), kGroups, kDv);
  const ValueId sinks = c.sinks ? m.random_weight("s", {kHeads}, 12) : 0;
  Attrs attrs = {{"scale", 0.4}, {"softcap", c.softcap}};
  if (!c.alibi.empty()) attrs["alibi"] = c.alibi;
  m.graph.outputs["hidden"] = m.op("tenon.attention/1", {q, k, v, sinks}, attrs, {m.kv(kGroups, kDk, kDv, c.window)});
  return m;
}

double bf16(double x) { return bf16_to_float(float_to_bf16(static_cast<float>(x))); }

/// softmax(q K^T) V of one query over its visible keys, all probabilities in memory.
std::vector<float> naive(const TestModel& m, const Case& c, const std::vector<int32_t>& tokens) {
  const auto* table = reinterpret_cast<const float*>(m.weights[0].data);
  const auto* sinks = c.sinks ? reinterpret_cast<const float*>(m.weights[1].data) : nullptr;
  std::vector<float> out;
  for (int64_t p = 0; p < static_cast<int64_t>(tokens.size()); ++p)
    for (int64_t h = 0; h < kHeads; ++h) {
      const int64_t g = h / (kHeads / kGroups);
      std::vector<double> e;
      std::vector<double> sum(kDv, 0.0);
      double total = sinks ? std::exp(static_cast<double>(sinks[h])) : 0;
      for (int64_t s = 0; s <= p; ++s) {
        if (c.window && p - s >= c.window) continue;
        const float* q = table + tokens[static_cast<size_t>(p)] * kWidth + h * kDk;
        const float* k = table + tokens[static_cast<size_t>(s)] * kWidth + (kHeads + g) * kDk;
        const float* v = table + tokens[static_cast<size_t>(s)] * kWidth + (kHeads + kGroups) * kDk + g * kDv;
        double score = std::inner_product(q, q + kDk, k, 0.0);
        if (!c.alibi.empty()) score += bf16(bf16(c.alibi[static_cast<size_t>(h)]) * static_cast<double>(s));
        score *= 0.4;
        if (c.softcap > 0) score = c.softcap * std::tanh(score / c.softcap);
        total += std::exp(score);
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

Chunk part(const std::vector<int32_t>& tokens, size_t begin, size_t end, std::vector<int32_t> pages) {
  return {{tokens.begin() + static_cast<ptrdiff_t>(begin), tokens.begin() + static_cast<ptrdiff_t>(end)},
          static_cast<int32_t>(begin),
          std::move(pages)};
}

void append(std::vector<float>& all, const std::vector<float>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

const std::vector<Case> kCases = {{},           {7, 0, false},   {0, 1.5, false},
                                  {0, 0, true}, {40, 2.0, true}, {0, 0, false, {0.5, 0.3, 0.011, 0.2}}};

}  // namespace

TEST_CASE("attention equals a full recomputation; chunked = whole; batch = alone") {
  const auto backend = make_backend("reference", 1);
  const std::vector<int32_t> tokens = some_tokens(75, 1), other = some_tokens(40, 2);
  for (size_t i = 0; i < kCases.size(); ++i) {
    CAPTURE(i);
    const TestModel m = attention_model(kCases[i]);
    Runner runner(*backend, m);
    const std::vector<float> whole = runner.step({part(tokens, 0, 75, {4, 9, 2})});
    CHECK(max_difference(whole, naive(m, kCases[i], tokens)) < 2e-6);

    std::vector<float> chunked;
    for (const auto& [begin, end] : {std::pair<size_t, size_t>{0, 31}, {31, 33}, {33, 34}, {34, 75}})
      append(chunked, runner.step({part(tokens, begin, end, {7, 1, 3})}));
    CHECK(chunked == whole);

    // The sequence shares its steps with another one, before and after it.
    const size_t row = kHeads * kDv;
    std::vector<float> batched;
    std::vector<float> first = runner.step({part(other, 0, 20, {5, 6}), part(tokens, 0, 50, {10, 11, 12})});
    append(batched, {first.begin() + 20 * row, first.end()});
    std::vector<float> second = runner.step({part(tokens, 50, 75, {10, 11, 12}), part(other, 20, 40, {5, 6})});
    append(batched, {second.begin(), second.begin() + 25 * row});
    CHECK(batched == whole);
    const std::vector<float> alone = naive(m, kCases[i], other);
    CHECK(max_difference({second.begin() + 25 * row, second.end()}, {alone.begin() + 20 * row, alone.end()}) < 2e-6);
  }
}

TEST_CASE("a half precision cache rounds, an exact one does not") {
  const auto backend = make_backend("reference", 1);
  const std::vector<int32_t> tokens = some_tokens(30, 3);
  const TestModel m = attention_model({});
  Runner half(*backend, m, false), exact(*backend, m, true);
  CHECK(half.states->groups()[0].bytes_per_page * 2 == exact.states->groups()[0].bytes_per_page);
  CHECK(exact.states->groups()[0].bytes_per_page == kPageTokens * kGroups * (kDk + kDv) * 4);
  const double difference =
      max_difference(half.step({part(tokens, 0, 30, {0})}), exact.step({part(tokens, 0, 30, {0})}));
  CHECK(difference > 1e-6);
  CHECK(difference < 5e-3);
}

TEST_CASE("interleaved rope on stored rows gives the scores of neox rope on reordered rows") {
  const auto build = [](bool stored) {
    TestModel m;
    const ValueId table = m.random_weight("t", {kVocab, 24}, 21);
    if (!stored)  // per head of 8: rows (2j, 2j+1) to (j, j+4); the third head is v and keeps its order
      for (int64_t head = 0; head < kVocab * 3; ++head) {
        if (head % 3 == 2) continue;
        auto* x = reinterpret_cast<float*>(m.weights[0].mutable_data()) + head * 8;
        const std::vector<float> old(x, x + 8);
        for (size_t j = 0; j < 4; ++j) {
          x[j] = old[2 * j];
          x[j + 4] = old[2 * j + 1];
        }
      }
    const ValueId x = m.op("tenon.embed/1", {m.input("tokens"), table}), pos = m.input("positions");
    const Attrs rope = {{"layout", std::string(stored ? "interleaved" : "neox")}, {"n_rot", int64_t{8}}};
    const ValueId q = m.op("tenon.rope/1", {m.heads(m.slice(x, 0, 8), 1, 8), pos}, rope);
    const ValueId k = m.op("tenon.rope/1", {m.heads(m.slice(x, 8, 8), 1, 8), pos}, rope);
    m.graph.outputs["hidden"] =
        m.op("tenon.attention/1", {q, k, m.heads(m.slice(x, 16, 8), 1, 8)}, {{"scale", 0.35}}, {m.kv(1, 8, 8)});
    return m;
  };
  const auto backend = make_backend("reference", 1);
  const std::vector<int32_t> tokens = some_tokens(30, 4);
  Runner a(*backend, build(true)), b(*backend, build(false));
  CHECK(max_difference(a.step({part(tokens, 0, 30, {0})}), b.step({part(tokens, 0, 30, {0})})) < 1e-6);
}
