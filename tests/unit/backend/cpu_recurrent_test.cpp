// Convolution and scan: the CPU backend against the reference, and the reference against sums by hand.
#include <doctest/doctest.h>

#include "cpu_harness.hpp"

using namespace tenon;
using namespace tenon::test;
using std::string;

namespace {

TestGraph conv_graph(int64_t channels, int64_t kernel, bool bias, const char* act) {
  TestGraph g;
  const ValueId w = g.typed("w", {channels, kernel}), b = bias ? g.typed("b", {channels}) : 0;
  g.output(g.op("tenon.causal_conv1d/1", {g.data("x", {channels}), w, b}, {{"act", string(act)}},
                {g.slot_state(StateKind::conv, {kernel - 1, channels})}));
  return g;
}

/// dt passes through softplus; A is below 0.
TestGraph scan_graph(int64_t channels, int64_t n, bool skip) {
  TestGraph g;
  const ValueId x = g.data("x", {channels}), b = g.data("b", {n}), c = g.data("c", {n});
  const ValueId dt = g.op("tenon.unary/1", {g.data("dt", {channels})}, {{"act", string("softplus")}});
  const ValueId a = g.typed("A", {channels, n}), d = skip ? g.typed("D", {channels}) : 0;
  g.output(g.op("tenon.ssm_scan/1", {x, dt, a, b, c, d}, {}, {g.slot_state(StateKind::recurrent, {channels, n})}));
  return g;
}

}  // namespace

TEST_CASE("causal_conv1d: sizes, biases, activations, ragged steps") {
  check_graph(conv_graph(96, 4, true, "silu"));
  check_graph(conv_graph(1, 2, false, "identity"));
  check_graph(conv_graph(37, 3, true, "identity"));
  check_graph(conv_graph(600, 4, false, "silu"));
  check_graph(conv_graph(5, 7, true, "tanh"));
}

TEST_CASE("ssm_scan: sizes and ragged steps") {
  // A is drawn around 0, so some decays grow: short steps only.
  const std::vector<Step> steps = {{{0, 5}, {1, 1}}, {{0, 1}, {1, 1}, {2, 6}}, {{1, 4}, {2, 1}, {0, 1}}, {{0, 1}}};
  for (auto [channels, n] : {std::pair{96, 16}, {1, 1}, {37, 8}, {16, 5}, {24, 16}})
    for (bool skip : {true, false}) {
      TestGraph g = scan_graph(channels, n, skip);
      g.spreads["A"] = 0.2f;
      check_graph(g, {.exact_max = 1e-4, .fast_l2 = 1e-4}, steps);
    }
}

TEST_CASE("every vector instruction set runs both") {
  const auto cpu = make_cpu_backend(2);
  for (const string& name : vector_names(*cpu)) {
    check_graph(conv_graph(45, 4, true, "silu"), {}, kRagged, "causal_conv1d=" + name);
    TestGraph g = scan_graph(45, 12, true);
    g.spreads["A"] = 0.1f;
    check_graph(g, {.exact_max = 1e-4, .fast_l2 = 1e-4}, {{{0, 9}, {1, 3}}, {{1, 1}, {0, 1}}}, "ssm_scan=" + name);
  }
}

TEST_CASE("chunks of any size and company in the batch leave a sequence's bits alone") {
  for (const TestGraph& g : {conv_graph(45, 4, true, "silu"), [] {
                               TestGraph s = scan_graph(45, 12, true);
                               s.spreads["A"] = 0.1f;
                               return s;
                             }()}) {
    const auto weights = g.weights(3);
    for (const char* backend : {"cpu", "reference"}) {
      const auto b = make_backend(backend, 2);
      const auto whole = run_steps(*b, g.graph, weights, {{{0, 12}}}, {})[0];
      std::vector<float> pieces;
      for (const auto& y : run_steps(*b, g.graph, weights, {{{0, 2}}, {{0, 1}}, {{0, 5}}, {{0, 4}}}, {}))
        pieces.insert(pieces.end(), y.begin(), y.end());
      CHECK(pieces == whole);
      const auto beside = run_steps(*b, g.graph, weights, {{{0, 12}, {1, 7}, {2, 30}}}, {})[0];
      CHECK(std::vector<float>(beside.begin(), beside.begin() + static_cast<ptrdiff_t>(whole.size())) == whole);
    }
  }
}

TEST_CASE("a slot is copied, and a sequence that starts in a used one starts from zero") {
  const TestGraph g = conv_graph(5, 4, true, "identity");
  const auto weights = g.weights(3);
  for (const char* name : {"cpu", "reference"}) {
    const auto backend = make_backend(name, 1);
    const auto exec =
        backend->compile(g.graph, weights, {.exact = true, .max_tokens = 8, .max_rows = 8, .max_seqs = 2, .force = {}});
    const auto states = backend->make_states(g.graph, {{}, 3}, true);
    CHECK(states->n_slots() == 3);
    CHECK(states->bytes_per_slot() >= 3 * 5 * 4);
    const auto step = [&](int32_t pos, std::vector<int32_t> tokens, int32_t slot) {
      std::vector<int32_t> positions(tokens.size()), rows(tokens.size());
      for (size_t i = 0; i < tokens.size(); ++i)
        rows[i] = static_cast<int32_t>(i), positions[i] = pos + static_cast<int32_t>(i);
      const std::vector<SeqRows> seqs = {{.first_row = 0,
                                          .n_rows = static_cast<int32_t>(tokens.size()),
                                          .pos = pos,
                                          .planned_len = 100,
                                          .pages = {},
                                          .slot = slot}};
      exec->run({tokens, positions, seqs, rows}, *states);
      const auto y = exec->output("y");
      return std::vector<float>(y.begin(), y.end());
    };
    const auto first = step(0, {1, 2, 3, 4}, 1);
    states->copy_slot(1, 2);
    const auto on = step(4, {5, 6}, 1);
    CHECK(step(4, {5, 6}, 2) == on);
    CHECK(step(0, {1, 2, 3, 4}, 2) == first);
    CHECK_THROWS(step(0, {1}, 3));
  }
}

TEST_CASE("the reference's numbers by hand") {
  TestGraph g;
  // Token t feeds x = t + 1; kernel (1, 10), bias 0.5: y_t = 10 x_t + x_{t-1} + 0.5.
  const ValueId x = g.data("x", {1});
  g.output(g.op("tenon.causal_conv1d/1", {x, g.typed("w", {1, 2}), g.typed("b", {1})}, {{"act", string("identity")}},
                {g.slot_state(StateKind::conv, {1, 1})}));
  auto weights = g.weights(1);
  const auto set = [&](size_t w, std::vector<float> values) {
    std::memcpy(weights[w].mutable_data(), values.data(), values.size() * 4);
  };
  std::vector<float> table(kVocab);
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i + 1);
  set(0, table), set(1, {1, 10}), set(2, {0.5});
  const auto y = run_steps(*make_reference_backend(), g.graph, weights, {{{0, 2}}, {{0, 1}}}, {});
  const float a = table[static_cast<size_t>(token_at(0, 0))], b = table[static_cast<size_t>(token_at(0, 1))],
              c = table[static_cast<size_t>(token_at(0, 2))];
  CHECK(y[0] == std::vector<float>{10 * a + 0.5f, 10 * b + a + 0.5f});
  CHECK(y[1] == std::vector<float>{10 * c + b + 0.5f});
}
