// Ops that keep a matrix per head: the CPU backend against the reference, and the reference against sums by hand.
#include <doctest/doctest.h>

#include "cpu_harness.hpp"

using namespace tenon;
using namespace tenon::test;
using std::string;

namespace {

struct Sizes {
  int64_t heads, keys, values, groups = 1;
};
constexpr Sizes kSizes[] = {{4, 16, 16, 2}, {1, 1, 1}, {3, 5, 7, 3}, {6, 8, 64, 2}, {2, 33, 37}, {2, 64, 100, 2}};

ValueId unary(TestGraph& g, ValueId x, const char* act) { return g.op("tenon.unary/1", {x}, {{"act", string(act)}}); }
ValueId logs(TestGraph& g, const Shape& dims) { return unary(g, unary(g, g.data("decay", dims), "softplus"), "neg"); }
ValueId unit(TestGraph& g, const char* name, const Shape& dims) {
  return g.op("tenon.l2_norm/1", {g.data(name, dims)}, {{"eps", 1e-6}});
}
StateId state(TestGraph& g, const Sizes& z) { return g.slot_state(StateKind::recurrent, {z.heads, z.keys, z.values}); }

TestGraph ssd(const Sizes& z) {
  TestGraph g;
  const ValueId x = g.data("x", {z.heads, z.values}), b = g.data("b", {z.groups, z.keys}),
                c = g.data("c", {z.groups, z.keys});
  const ValueId dt = unary(g, g.data("dt", {z.heads}), "softplus");
  g.output(g.op("tenon.ssd_scan/1", {x, dt, g.typed("A", {z.heads}, DType::f32, 0.05f), b, c, g.typed("D", {z.heads})},
                {}, {state(g, z)}));
  return g;
}
TestGraph ssd_without_skip(const Sizes& z) {
  TestGraph g;
  const ValueId x = g.data("x", {z.heads, z.values}), b = g.data("b", {z.groups, z.keys});
  const ValueId dt = unary(g, g.data("dt", {z.heads}), "softplus");
  g.output(g.op("tenon.ssd_scan/1", {x, dt, g.typed("A", {z.heads}, DType::f32, 0.05f), b, b}, {}, {state(g, z)}));
  return g;
}
TestGraph wkv6(const Sizes& z) {
  TestGraph g;
  const Shape keys = {z.heads, z.keys};
  const ValueId r = g.data("r", keys), k = g.data("k", keys), v = g.data("v", {z.heads, z.values});
  g.output(g.op("tenon.wkv6/1", {r, k, v, logs(g, keys), g.typed("u", keys)}, {}, {state(g, z)}));
  return g;
}
TestGraph wkv6_fixed(const Sizes& z) {
  TestGraph g;
  const Shape keys = {z.heads, z.keys};
  const ValueId r = g.data("r", keys), k = g.data("k", keys), v = g.data("v", {z.heads, z.values});
  g.output(g.op("tenon.wkv6/1", {r, k, v, g.typed("w", keys, DType::f32, 0.02f), g.typed("u", keys, DType::bf16)}, {},
                {state(g, z)}));
  return g;
}
TestGraph wkv7(const Sizes& z) {
  TestGraph g;
  const Shape keys = {z.heads, z.keys};
  const ValueId kk = unit(g, "kk", keys), v = g.data("v", {z.heads, z.values});
  const ValueId b = g.op("tenon.mul/1", {kk, unary(g, g.data("rate", keys), "sigmoid")});
  g.output(g.op("tenon.wkv7/1", {g.data("r", keys), logs(g, keys), g.data("k", keys), v, unary(g, kk, "neg"), b}, {},
                {state(g, z)}));
  return g;
}
/// A decay per key channel, or one per head.
TestGraph delta(const Sizes& z, bool per_head) {
  TestGraph g;
  const Shape keys = {z.groups, z.keys};
  const ValueId decay = logs(g, per_head ? Shape{z.heads} : Shape{z.heads, z.keys});
  const ValueId beta = unary(g, g.data("beta", {z.heads}), "sigmoid");
  g.output(g.op("tenon.gated_delta_rule/1",
                {unit(g, "q", keys), unit(g, "k", keys), g.data("v", {z.heads, z.values}), decay, beta},
                {{"scale", 0.3}}, {state(g, z)}));
  return g;
}
TestGraph delta_channels(const Sizes& z) { return delta(z, false); }
TestGraph delta_heads(const Sizes& z) { return delta(z, true); }

using Make = TestGraph (*)(const Sizes&);
constexpr std::pair<const char*, Make> kRules[] = {{"ssd_scan", ssd},
                                                   {"ssd_scan", ssd_without_skip},
                                                   {"wkv6", wkv6},
                                                   {"wkv6", wkv6_fixed},
                                                   {"wkv7", wkv7},
                                                   {"gated_delta_rule", delta_channels},
                                                   {"gated_delta_rule", delta_heads}};

/// One step of one sequence on the reference, one value of x a token: `tables` holds what tokens 0 and 7 + 1 give.
std::vector<float> by_hand(const TestGraph& g, std::initializer_list<std::pair<size_t, std::vector<float>>> values) {
  auto weights = g.weights(1);
  for (const auto& [w, v] : values)
    for (size_t at = 0; at + v.size() * 4 <= weights[w].bytes; at += v.size() * 4)
      std::memcpy(weights[w].mutable_data() + at, v.data(), v.size() * 4);
  return run_steps(*make_reference_backend(), g.graph, weights, {{{0, 2}}}, {})[0];
}

}  // namespace

TEST_CASE("matrix states: sizes and ragged steps") {
  for (const auto& [name, make] : kRules)
    for (const Sizes& z : kSizes) {
      CAPTURE(name);
      CAPTURE(z.keys);
      CAPTURE(z.values);
      check_graph(make(z), {.exact_max = 5e-5, .fast_l2 = 5e-5});
    }
}

TEST_CASE("matrix states on every vector instruction set") {
  const auto cpu = make_cpu_backend(2);
  for (const string& isa : vector_names(*cpu))
    for (const auto& [name, make] : kRules) {
      CAPTURE(name);
      CAPTURE(isa);
      check_graph(make({2, 19, 45, 2}), {.exact_max = 5e-5, .fast_l2 = 5e-5}, {{{0, 9}, {1, 3}}, {{1, 1}, {0, 1}}},
                  name + ("=" + isa));
    }
}

TEST_CASE("chunks of any size and company in the batch leave a matrix state's bits alone") {
  for (const auto& [rule, make] : kRules) {
    CAPTURE(rule);
    const TestGraph g = make({3, 19, 45});
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

TEST_CASE("token shift: the row before, across steps and sequences") {
  TestGraph g;
  g.output(g.op("tenon.token_shift/1", {g.data("x", {300})}, {}, {g.slot_state(StateKind::conv, {1, 300})}));
  check_graph(g, {0, 0});
  TestGraph one;
  one.output(one.op("tenon.token_shift/1", {one.data("x", {1})}, {}, {one.slot_state(StateKind::conv, {1, 1})}));
  auto weights = one.weights(1);
  std::vector<float> table(kVocab);
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i + 1);
  std::memcpy(weights[0].mutable_data(), table.data(), table.size() * 4);
  const auto x = [&](int pos) { return table[static_cast<size_t>(token_at(0, pos))]; };
  const auto y = run_steps(*make_reference_backend(), one.graph, weights, {{{0, 2}}, {{0, 2}}}, {});
  CHECK(y[0] == std::vector<float>{0, x(0)});
  CHECK(y[1] == std::vector<float>{x(1), x(2)});
}

TEST_CASE("the reference's matrix states by hand: the same operands for two tokens") {
  using doctest::Approx;
  {  // S = 0.5 S + k v, and u counts the token itself: y = r . (S + u k v)
    TestGraph g;
    const ValueId r = g.data("r", {1, 2}), k = g.data("k", {1, 2}), v = g.data("v", {1, 1});
    g.output(g.op("tenon.wkv6/1", {r, k, v, g.typed("w", {1, 2}), g.typed("u", {1, 2})}, {}, {state(g, {1, 2, 1})}));
    const float half = std::log(0.5f);
    const auto y = by_hand(g, {{0, {1, 10}}, {1, {2, 3}}, {2, {5}}, {3, {half, 0}}, {4, {1, 2}}});
    CHECK(y[0] == Approx(1 * 10 + 10 * 2 * 15));
    CHECK(y[1] == Approx(1 * (10 + 10) + 10 * (15 + 2 * 15)));
  }
  {  // z = a . S before the decay; S = w S + b z + k v; y = r . S
    TestGraph g;
    const ValueId r = g.data("r", {1, 2}), w = g.data("w", {1, 2}), k = g.data("k", {1, 2}), v = g.data("v", {1, 1});
    const ValueId a = g.data("a", {1, 2}), b = g.data("b", {1, 2});
    g.output(g.op("tenon.wkv7/1", {r, w, k, v, a, b}, {}, {state(g, {1, 2, 1})}));
    const auto y =
        by_hand(g, {{0, {1, 10}}, {1, {std::log(0.5f), 0}}, {2, {2, 3}}, {3, {5}}, {4, {-1, 2}}, {5, {3, 4}}});
    CHECK(y[0] == Approx(10 + 150));  // S = (10, 15)
    CHECK(y[1] == Approx((5 + 3 * 20 + 10) + 10 * (15 + 4 * 20 + 15)));
  }
  {  // S *= (0.5, 1); z = beta (v - k . S); S += k z; y = scale q . S
    TestGraph g;
    const ValueId q = g.data("q", {1, 2}), k = g.data("k", {1, 2}), v = g.data("v", {1, 1}), d = g.data("g", {1, 2});
    g.output(
        g.op("tenon.gated_delta_rule/1", {q, k, v, d, g.data("beta", {1})}, {{"scale", 2.0}}, {state(g, {1, 2, 1})}));
    const auto y = by_hand(g, {{0, {1, 10}}, {1, {2, 3}}, {2, {5}}, {3, {std::log(0.5f), 0}}, {4, {0.5f}}});
    CHECK(y[0] == Approx(2 * (5 + 75)));  // S = (5, 7.5)
    const double z = 0.5 * (5 - (2 * 2.5 + 3 * 7.5));
    CHECK(y[1] == Approx(2 * ((2.5 + 2 * z) + 10 * (7.5 + 3 * z))));
  }
  {  // S = exp(dt A) S + dt B x; y = C . S + D x
    TestGraph g;
    const ValueId x = g.data("x", {1, 1}), dt = g.data("dt", {1}), b = g.data("b", {1, 2}), c = g.data("c", {1, 2});
    g.output(g.op("tenon.ssd_scan/1", {x, dt, g.typed("A", {1}), b, c, g.typed("D", {1})}, {}, {state(g, {1, 2, 1})}));
    const auto y = by_hand(g, {{0, {5}}, {1, {2}}, {2, {2, 3}}, {3, {1, 10}}, {4, {std::log(0.5f) / 2}}, {5, {7}}});
    CHECK(y[0] == Approx(20 + 300 + 35));
    CHECK(y[1] == Approx(1.5 * 320 + 35));
  }
}

TEST_CASE("one decay for a head is the same decay for all its keys") {
  const Sizes z = {2, 9, 20, 2};
  TestGraph g;
  const ValueId k = unit(g, "k", {2, 9}), v = g.data("v", {2, 20}), beta = unary(g, g.data("beta", {2}), "sigmoid");
  const ValueId decay = logs(g, {2});
  const ValueId wide = g.op("tenon.mul/1", {g.op("tenon.scale_shift/1", {k}, {{"scale", 0.0}, {"shift", 1.0}}),
                                            g.op("tenon.reshape/1", {decay}, {{"shape", Shape{kDimTokens, 2, 1}}})});
  const ValueId a = g.op("tenon.gated_delta_rule/1", {k, k, v, decay, beta}, {}, {state(g, z)});
  const ValueId b = g.op("tenon.gated_delta_rule/1", {k, k, v, wide, beta}, {}, {state(g, z)});
  g.output(g.op("tenon.sub/1", {a, b}));
  for (const char* name : {"cpu", "reference"})
    for (const auto& y : run_steps(*make_backend(name, 1), g.graph, g.weights(1), {{{0, 9}}, {{0, 3}}}, {}))
      for (float x : y) CHECK(std::fabs(x) <= 1e-6);
}
