// Attention of the CPU backend against the reference: head sizes, groups, windows, softcap, sinks, ragged batches, long
// contexts that are split over threads, rotations folded in, both cache types.
#include "backend/cpu_harness.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {

struct Case {
  int64_t heads = 4, kv_heads = 2, dk = 16, dv = 16, window = 0;
  double softcap = 0;
  bool sinks = false;
  std::string rope = "neox";  // "" for none
  std::vector<double> alibi = {};
};

TestGraph attention_graph(const Case& c) {
  TestGraph g;
  ValueId q = g.data("q", {c.heads, c.dk}), k = g.data("k", {c.kv_heads, c.dk});
  const ValueId v = g.data("v", {c.kv_heads, c.dv});
  if (!c.rope.empty()) {
    const Attrs attrs = {{"layout", c.rope}, {"n_rot", c.dk / 2 * 2}, {"base", 1e4}};
    q = g.op("tenon.rope/1", {q, g.positions}, attrs);
    k = g.op("tenon.rope/1", {k, g.positions}, attrs);
  }
  Attrs attrs = {{"scale", 1 / std::sqrt(static_cast<double>(c.dk))}, {"softcap", c.softcap}};
  if (!c.alibi.empty()) attrs["alibi"] = c.alibi;
  const ValueId y = g.op("tenon.attention/1", {q, k, v, c.sinks ? g.typed("sinks", {c.heads}) : 0}, attrs,
                         {g.kv(c.kv_heads, c.dk, c.dv, c.window)});
  g.output(g.op("tenon.reshape/1", {y}, {{"shape", Shape{kDimTokens, c.heads * c.dv}}}));
  return g;
}

const std::vector<Step> kLong = {{{0, 96}},
                                 {{0, 96}},
                                 {
                                     {0, 96},
                                 },
                                 {{0, 96}},
                                 {{0, 96}},
                                 {{0, 96}},
                                 {{0, 96}},
                                 {{0, 96}},
                                 {{0, 96}},
                                 {{0, 96}},
                                 {{0, 96}},
                                 {{0, 96}},
                                 {{0, 1}},
                                 {{0, 1}},
                                 {{0, 2}, {1, 1}}};

}  // namespace

TEST_CASE("attention over shapes") {
  for (auto [heads, kv] : {std::pair<int64_t, int64_t>{1, 1}, {4, 4}, {6, 2}, {9, 3}, {8, 1}, {40, 1}})
    for (auto [dk, dv] :
         {std::pair<int64_t, int64_t>{16, 16}, {64, 64}, {80, 80}, {10, 6}, {3, 5}, {128, 128}, {24, 64}}) {
      CAPTURE(heads);
      CAPTURE(kv);
      CAPTURE(dk);
      CAPTURE(dv);
      check_graph(attention_graph({heads, kv, dk, dv}));
    }
}

TEST_CASE("attention with window, softcap, sinks and rotations, on every instruction set") {
  auto cpu = make_cpu_backend(1);
  for (const std::string& isa : vector_names(*cpu))
    for (int64_t window : {0, 1, 5, 40})
      for (double softcap : {0.0, 1.5})
        for (bool sinks : {false, true}) {
          CAPTURE(isa);
          CAPTURE(window);
          CAPTURE(softcap);
          CAPTURE(sinks);
          check_graph(attention_graph({4, 2, 20, 20, window, softcap, sinks, window % 2 ? "interleaved" : ""}), {},
                      kRagged, "attention=" + isa);
        }
}

TEST_CASE("attention with alibi slopes, on every instruction set") {
  auto cpu = make_cpu_backend(1);
  const std::vector<double> slopes = {0.5, 0.3, 0.25, 0.11, 0.0625, 0.01};
  for (const std::string& isa : vector_names(*cpu))
    for (int64_t kv : {1, 2, 6}) {
      CAPTURE(isa);
      CAPTURE(kv);
      check_graph(attention_graph({6, kv, 24, 24, 0, 0, false, "", slopes}), {}, kRagged, "attention=" + isa);
    }
  check_graph(attention_graph({6, 2, 24, 24, 50, 1.5, true, "neox", slopes}));
  check_graph(attention_graph({6, 2, 24, 24, 0, 0, false, "", slopes}), {}, kLong);
}

TEST_CASE("long contexts, split over threads") {
  check_graph(attention_graph({4, 1, 16, 16}), {}, kLong);
  check_graph(attention_graph({2, 1, 32, 32, 700, 0, true}), {}, kLong);
}

TEST_CASE("token by token gives the bits of one prompt") {
  const TestGraph g = attention_graph({6, 2, 32, 32});
  const auto weights = g.weights(11);
  auto cpu = make_cpu_backend(2);
  for (bool exact : {true, false}) {
    const auto whole = run_steps(*cpu, g.graph, weights, {{{0, 70}}}, {2, exact});
    std::vector<Step> singles(70, Step{{0, 1}});
    const auto steps = run_steps(*cpu, g.graph, weights, singles, {2, exact});
    const size_t width = whole[0].size() / 70;
    for (size_t t = 0; t < 70; ++t)
      CHECK(std::memcmp(steps[t].data(), whole[0].data() + t * width, width * sizeof(float)) == 0);
  }
}

TEST_CASE("half precision caches stay within their rounding") {
  check_graph(attention_graph({4, 2, 64, 64}), {2e-5, 6e-4});
}
