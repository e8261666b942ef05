// Latent attention and products per head of the CPU backend against the reference: widths, head counts, both orders of
// k_b, weight types, both ways to compute, contexts split over threads, rotations folded in.
#include "backend/cpu/ops/mla_plan.hpp"
#include "backend/cpu_harness.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {

struct Case {
  int64_t heads = 4, nope = 16, rotary = 8, value = 12, latent = 24;
  bool transposed = false;
  DType type = DType::f32;
  std::string rope = "interleaved";  // "" for none
};

TestGraph mla_graph(const Case& c) {
  TestGraph g;
  const ValueId nope = g.data("q_nope", {c.heads, c.nope}), latent = g.data("c", {c.latent});
  ValueId pe = g.data("q_pe", {c.heads, c.rotary}), k_pe = g.data("k_pe", {1, c.rotary});
  if (!c.rope.empty()) {
    const Attrs attrs = {{"layout", c.rope}, {"n_rot", c.rotary}, {"base", 1e4}};
    pe = g.op("tenon.rope/1", {pe, g.positions}, attrs);
    k_pe = g.op("tenon.rope/1", {k_pe, g.positions}, attrs);
  }
  const Shape k_b = c.transposed ? Shape{c.heads, c.latent, c.nope} : Shape{c.heads, c.nope, c.latent};
  const ValueId y = g.op(
      "tenon.mla_attention/1",
      {nope, pe, latent, k_pe, g.typed("k_b", k_b, c.type, 0.2f),
       g.typed("v_b", {c.heads, c.value, c.latent}, c.type, 0.2f)},
      {{"scale", 1 / std::sqrt(static_cast<double>(c.nope + c.rotary))}, {"k_b_transposed", int64_t{c.transposed}}},
      {g.slot_state(StateKind::mla_latent, {c.latent + c.rotary})});
  g.output(g.op("tenon.reshape/1", {y}, {{"shape", Shape{kDimTokens, c.heads * c.value}}}));
  return g;
}

MlaSpec spec_of(const Case& c) { return {c.heads, c.nope, c.rotary, c.latent, c.value, 1, c.transposed}; }

std::vector<Step> prompt_and_answers(int n) {
  std::vector<Step> steps;
  for (int at = 0; at < n; at += 96) steps.push_back({{0, std::min(96, n - at)}});
  for (int i = 0; i < 3; ++i) steps.push_back({{0, 1}});
  steps.push_back({{0, 2}, {1, 1}});
  return steps;
}

}  // namespace

TEST_CASE("latent attention over shapes") {
  for (int64_t heads : {1, 4, 6, 16, 37, 40, 96})
    for (bool transposed : {false, true})
      for (const char* rope : {"interleaved", "neox", ""}) {
        CAPTURE(heads);
        CAPTURE(transposed);
        CAPTURE(rope);
        check_graph(mla_graph({heads, 16, 8, 12, 24, transposed, DType::f32, rope}), {3e-5, 2e-3});
      }
  for (const Case& c : {Case{3, 24, 8, 24, 24, true}, Case{3, 24, 8, 24, 24, false}, Case{5, 7, 2, 9, 11, true},
                        Case{2, 64, 4, 70, 16, false}, Case{2, 128, 64, 128, 512, false}}) {
    CAPTURE(c.nope);
    CAPTURE(c.transposed);
    check_graph(mla_graph(c), {3e-5, 2e-3});
  }
}

TEST_CASE("latent attention with weights of several types") {
  for (DType type : {DType::bf16, DType::f16, DType::q8_0, DType::q4_0})
    for (bool transposed : {false, true}) {
      CAPTURE(dtype_info(type).name);
      CAPTURE(transposed);
      check_graph(mla_graph({6, 32, 8, 12, 64, transposed, type}), {3e-5, 2.5e-2});
    }
}

TEST_CASE("latent attention on every instruction set") {
  auto cpu = make_cpu_backend(1);
  for (const std::string& isa : vector_names(*cpu))
    for (const Case& c : {Case{}, Case{6, 30, 6, 10, 20, true}, Case{9, 64, 4, 70, 16}}) {
      CAPTURE(isa);
      check_graph(mla_graph(c), {3e-5, 2e-3}, kRagged, "mla_attention=" + isa);
    }
}

TEST_CASE("both ways are taken, each where it is cheaper") {
  const Case real{16, 128, 64, 128, 512}, wide{2, 64, 4, 70, 16};
  using cpu::MlaPlan;
  CHECK_FALSE(MlaPlan::expands(spec_of(real), 4000, 1));
  CHECK_FALSE(MlaPlan::expands(spec_of(real), 8000, 16));
  CHECK(MlaPlan::expands(spec_of(real), 0, 64));
  CHECK(MlaPlan::expands(spec_of(real), 8000, 512));
  CHECK_FALSE(MlaPlan::expands(spec_of(wide), 0, 64));
}

TEST_CASE("long contexts, split over threads; prompts in chunks") {
  check_graph(mla_graph({}), {3e-5, 2e-3}, prompt_and_answers(700));
  check_graph(mla_graph({3, 64, 4, 70, 16}), {3e-5, 2e-3}, prompt_and_answers(700));
}

TEST_CASE("the state holds one latent row per token and nothing else") {
  const TestGraph g = mla_graph({16, 128, 64, 128, 512});
  for (bool exact : {true, false})
    for (const char* name : {"cpu", "reference"}) {
      const auto backend = make_backend(name, 1);
      const auto states = backend->make_states(g.graph, {{4}, 0}, exact);
      REQUIRE(states->groups().size() == 1);
      CHECK(states->groups()[0].bytes_per_page == kPageTokens * (512 + 64) * (exact ? 4 : 2));
      CHECK(states->bytes_per_slot() == 0);
    }
}

TEST_CASE("products per head") {
  for (DType type : {DType::f32, DType::bf16, DType::q8_0, DType::q4_0})
    for (int64_t heads : {1, 5}) {
      CAPTURE(dtype_info(type).name);
      TestGraph g;
      const ValueId y =
          g.op("tenon.linear_per_head/1", {g.data("x", {heads, 64}), g.typed("w", {heads, 37, 64}, type)});
      g.output(g.op("tenon.reshape/1", {y}, {{"shape", Shape{kDimTokens, heads * 37}}}));
      check_graph(g, {2e-5, 2.5e-2});
    }
}
