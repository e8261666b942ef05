// Every op of the reference backend against hand-sized numbers.
#include <doctest/doctest.h>

#include <cmath>

#include "base/error.hpp"
#include "graph/passes.hpp"
#include "step.hpp"

using namespace tenon;
using namespace tenon::test;
using std::string;

namespace {

using Rows = std::vector<std::vector<float>>;

/// Runs a model whose output is `out` on tokens 0 .. n-1 at positions 0 .. n-1.
std::vector<float> run(TestModel& m, ValueId out, int32_t n, int64_t planned_len = 0) {
  m.graph.outputs["hidden"] = out;
  const auto backend = make_backend("reference", 1);
  Chunk c;
  for (int32_t i = 0; i < n; ++i) c.tokens.push_back(i);
  c.planned_len = planned_len;
  return Runner(*backend, m).step({c});
}

void close(const std::vector<float>& got, const std::vector<double>& want, double epsilon = 1e-6) {
  REQUIRE(got.size() == want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    CHECK(got[i] == doctest::Approx(want[i]).epsilon(epsilon));
  }
}

}  // namespace

TEST_CASE("backends by name") {
  CHECK(make_backend("reference", 1)->name() == "reference");
  CHECK(make_backend("auto", 1) != nullptr);
  CHECK_THROWS_WITH_AS(make_backend("gpu", 1), doctest::Contains("reference"), Error);
}

TEST_CASE("embed and linear") {
  TestModel m;
  const ValueId table = m.f32_weight("t", {3, 2}, {1, 2, 3, 4, 5, 6});
  const ValueId x = m.op("tenon.embed/1", {m.input("tokens"), table}, {{"scale", 2.0}});
  const ValueId y =
      m.op("tenon.linear/1", {x, m.f32_weight("w", {3, 2}, {1, 0, 0, 1, 1, -1}), m.f32_weight("b", {3}, {10, 20, 30})});
  close(run(m, x, 3), {2, 4, 6, 8, 10, 12});
  close(run(m, y, 2), {12, 24, 28, 16, 28, 28});
}

TEST_CASE("weights of stored types") {
  TestModel m;
  const ValueId x = m.feed({{1, 1}});
  HostTensor half = HostTensor::allocate(DType::f16, {1, 2}, "h");
  const uint16_t values[] = {float_to_half(0.5f), float_to_half(-2)};
  std::memcpy(half.mutable_data(), values, sizeof values);
  m.weights.push_back(half);
  close(run(m, m.op("tenon.linear/1", {x, m.weight("h", {1, 2})}), 1), {-1.5});
}

TEST_CASE("norms") {
  TestModel m;
  const ValueId x = m.feed({{3, 4}});
  const ValueId w = m.f32_weight("w", {2}, {2, 1}), b = m.f32_weight("b", {2}, {0, 10});
  close(run(m, m.op("tenon.rms_norm/1", {x, w}, {{"eps", 0.0}}), 1), {6 / std::sqrt(12.5), 4 / std::sqrt(12.5)});
  close(run(m, m.op("tenon.rms_norm/1", {x}, {{"eps", 0.5}}), 1), {3 / std::sqrt(13), 4 / std::sqrt(13)});
  close(run(m, m.op("tenon.layer_norm/1", {x, w, b}, {{"eps", 0.0}}), 1), {-2, 11});
  close(run(m, m.op("tenon.layer_norm/1", {x}, {{"eps", 0.75}}), 1), {-0.5, 0.5});
}

TEST_CASE("elementwise ops") {
  TestModel m;
  const ValueId x = m.feed({{1, -2}, {3, 4}});
  const ValueId row = m.f32_weight("r", {2}, {10, 100});
  close(run(m, m.op("tenon.add/1", {x, row}), 2), {11, 98, 13, 104});
  close(run(m, m.op("tenon.mul/1", {x, row}), 2), {10, -200, 30, 400});
  close(run(m, m.op("tenon.mul/1", {x, x}), 2), {1, 4, 9, 16});
  close(run(m, m.op("tenon.scale_shift/1", {x}, {{"scale", 2.0}, {"shift", 1.0}}), 2), {3, -3, 7, 9});
  close(run(m, m.op("tenon.unary/1", {x}, {{"act", string("relu")}}), 2), {1, 0, 3, 4});
  close(run(m, m.op("tenon.glu/1", {x, x}, {{"act", string("silu")}}), 1), {0.7310586, 0.4768117});
  close(run(m, m.op("tenon.softcap/1", {x}, {{"cap", 2.0}}), 1), {0.9242343, -1.5231883});
  close(run(m, m.op("tenon.clamp/1", {x}, {{"lo", -1.5}, {"hi", 3.5}}), 2), {1, -1.5, 3, 3.5});
  close(run(m, m.op("tenon.clamp/1", {x}, {{"hi", 2.0}}), 2), {1, -2, 2, 2});
}

TEST_CASE("rows scaled by their positions") {
  TestModel m;
  const ValueId x = m.feed(Rows(5, {1, -2})), pos = m.input("positions");
  const double one = 1 + 0.5 * std::log(2), two = 1 + 0.5 * std::log(3);
  close(run(m, m.op("tenon.position_scale/1", {x, pos}, {{"beta", 0.5}, {"length", int64_t{2}}}), 5),
        {1, -2, 1, -2, one, -2 * one, one, -2 * one, two, -2 * two});
  const Attrs shifted = {{"beta", 0.5}, {"length", int64_t{2}}, {"offset", int64_t{1}}};
  close(run(m, m.op("tenon.position_scale/1", {x, pos}, shifted), 3), {1, -2, one, -2 * one, one, -2 * one});
}

TEST_CASE("reshape, slice and take_rows") {
  TestModel m;
  const ValueId x = m.feed({{1, 2, 3, 4}, {5, 6, 7, 8}});
  const ValueId h = m.heads(x, 2, 2);
  close(run(m, m.op("tenon.slice/1", {h}, {{"start", int64_t{1}}, {"length", int64_t{1}}}), 2), {2, 4, 6, 8});
  m.graph.outputs["hidden"] = m.op("tenon.take_rows/1", {h, m.input("rows")});
  Runner r(*make_backend("reference", 1), m);
  const std::vector<int32_t> tokens = {0, 1}, rows = {1};
  const std::vector<SeqRows> seqs = {{0, 2, 0, 0}};
  r.exec->run({tokens, tokens, seqs, rows}, *r.states);
  const auto out = r.exec->output("hidden");
  close({out.begin(), out.end()}, {5, 6, 7, 8});
}

TEST_CASE("rope turns pairs in both layouts and passes the rest") {
  TestModel m;
  const Rows rows(2, {1, 2, 3, 4, 5});
  const ValueId x = m.heads(m.feed(rows), 1, 5), pos = m.input("positions");
  const double c0 = std::cos(1), s0 = std::sin(1), c1 = std::cos(0.01), s1 = std::sin(0.01);
  const auto rope = [&](const char* layout, Attrs more = {}) {
    Attrs attrs = {{"layout", string(layout)}, {"n_rot", int64_t{4}}};
    attrs.merge(more);
    return run(m, m.op("tenon.rope/1", {x, pos}, attrs), 2);
  };
  close(rope("neox"), {1, 2, 3, 4, 5, c0 - 3 * s0, 2 * c1 - 4 * s1, s0 + 3 * c0, 2 * s1 + 4 * c1, 5});
  close(rope("interleaved"), {1, 2, 3, 4, 5, c0 - 2 * s0, s0 + 2 * c0, 3 * c1 - 4 * s1, 3 * s1 + 4 * c1, 5});
  const std::vector<float> doubled = rope("neox", {{"magnitude", 2.0}});
  CHECK(doubled[0] == 2);
  CHECK(doubled[4] == 5);
  const ValueId divided = m.op("tenon.rope/1", {x, pos, m.f32_weight("f", {2}, {2, 1})},
                               {{"layout", string("neox")}, {"n_rot", int64_t{4}}});
  CHECK(run(m, divided, 2)[5] == doctest::Approx(std::cos(0.5) - 3 * std::sin(0.5)));
}

TEST_CASE("rope chooses long factors by the planned length") {
  TestModel m;
  const ValueId x = m.heads(m.feed(Rows(2, {1, 0})), 1, 2);
  const Attrs attrs = {{"layout", string("neox")},          {"n_rot", int64_t{2}},
                       {"scaling", string("longrope")},     {"original_ctx", int64_t{8}},
                       {"short_factors", std::vector{1.0}}, {"long_factors", std::vector{4.0}}};
  const ValueId y = m.op("tenon.rope/1", {x, m.input("positions")}, attrs);
  CHECK(run(m, y, 2, 8)[2] == doctest::Approx(std::cos(1)));
  CHECK(run(m, y, 2, 9)[2] == doctest::Approx(std::cos(0.25)));

  Attrs bare = attrs;
  bare.erase("short_factors"), bare.erase("long_factors");
  const ValueId shorts = m.f32_weight("s", {1}, {2}), longs = m.f32_weight("l", {1}, {5});
  const ValueId z = m.op("tenon.rope/1", {x, m.input("positions"), 0, shorts, longs}, bare);
  CHECK(run(m, z, 2, 8)[2] == doctest::Approx(std::cos(0.5)));
  CHECK(run(m, z, 2, 9)[2] == doctest::Approx(std::cos(0.2)));
}

TEST_CASE("routing") {
  TestModel m;
  const ValueId logits = m.feed({{1, 3, 3, 0}});
  const auto route = [&](const char* score, int64_t renormalise, ValueId bias = 0) {
    const auto out = m.ops("tenon.moe_route/1", {logits, bias},
                           {{"k", int64_t{2}}, {"score", string(score)}, {"renormalise", renormalise}, {"scale", 2.0}});
    return out[1];
  };
  const double sum = std::exp(1) + 2 * std::exp(3) + 1, p = std::exp(3) / sum, sig = 1 / (1 + std::exp(-3));
  close(run(m, route("softmax", 0), 1), {2 * p, 2 * p});
  close(run(m, route("softmax", 1), 1), {1, 1});
  close(run(m, route("sigmoid", 0), 1), {2 * sig, 2 * sig});
  close(run(m, route("softmax_selected", 0), 1), {1, 1});
  // The bias lifts expert 3 to the front; its weight stays the unbiased score.
  close(run(m, route("sigmoid", 0, m.f32_weight("b", {4}, {0, 0, 0, 5})), 1), {2 * 0.5, 2 * sig});
}

TEST_CASE("routing within the best groups") {
  TestModel m;
  // Four groups of three: by their best 2 and 0 lead, by their two best 0 and 1.
  const ValueId logits = m.feed({{2, 2, -9, 1.9f, 1.9f, 0, 3, -9, -9, 0, 0, 0}});
  const auto chosen = [&](const char* rank, ValueId bias = 0) {
    const auto out = m.ops("tenon.moe_route/1", {logits, bias},
                           {{"k", int64_t{4}},
                            {"score", string("sigmoid")},
                            {"n_group", int64_t{4}},
                            {"topk_group", int64_t{2}},
                            {"group_rank", string(rank)}});
    return run(m, out[1], 1);
  };
  const auto s = [](double x) { return 1 / (1 + std::exp(-x)); };
  close(chosen("max"), {s(3), s(2), s(2), s(-9)});
  close(chosen("top2_sum"), {s(2), s(2), s(1.9f), s(1.9f)});
  // The bias takes part in the ranking of groups too.
  const ValueId bias = m.f32_weight("b", {12}, {0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 5, 5});
  close(chosen("max", bias), {0.5, 0.5, 0.5, s(3)});
  close(chosen("top2_sum", bias), {0.5, 0.5, 0.5, s(2)});
}

TEST_CASE("the sparse mixer weighs each choice against what is near it") {
  TestModel m;
  const auto mix = [&](const std::vector<float>& row) {
    const auto out = m.ops("tenon.sparse_mixer/1", {m.feed({row})}, {{"k", int64_t{2}}, {"jitter", 0.01}});
    return run(m, out[1], 1);
  };
  const double near = 1 / (1 + std::exp(-0.1));
  close(mix({10, 1, 9.9f, 5}), {near, 1}, 1e-5);  // 9.9 is within 2 % of 10, nothing left is within 2 % of 9.9
  close(mix({10, 1, 9.7f, 9.6f}), {1, 1 / (1 + std::exp(-0.1))}, 1e-5);
  // Below zero |s| is the larger: (-1 - -1.01) / 1.01 is near, (-1 - -2) / 2 is not.
  close(mix({-1, -1.01f, -2}), {1 / (1 + std::exp(-0.01)), 1}, 1e-5);
}

TEST_CASE("the clamped gated unit") {
  TestModel m;
  const ValueId gate = m.feed({{1, 9, -9, 2}}), up = m.op("tenon.mul/1", {gate, m.f32_weight("s", {4}, {1, 1, 1, -3})});
  const ValueId y = m.op("tenon.glu/1", {gate, up}, {{"act", string("swiglu_oai")}, {"alpha", 1.5}, {"limit", 4.0}});
  const auto g = [](double x) { return x / (1 + std::exp(-1.5 * x)); };
  close(run(m, y, 1), {g(1) * 2, g(4) * 5, g(-9) * -3, g(2) * -3}, 1e-5);
}

TEST_CASE("experts with biases") {
  TestModel m;
  const ValueId x = m.feed({{1, 0}});
  const ValueId logits = m.op("tenon.linear/1", {x, m.f32_weight("r", {3, 2}, {1, 0, 3, 0, 2, 0})});
  const auto route = m.ops("tenon.moe_route/1", {logits}, {{"k", int64_t{1}}, {"score", string("softmax_selected")}});
  const auto ones = [&](const char* name, const Shape& shape) {
    return m.f32_weight(name, shape, std::vector<float>(6, 1));
  };
  const ValueId y = m.op("tenon.moe_ffn/1",
                         {x, route[0], route[1], ones("g", {3, 1, 2}), ones("u", {3, 1, 2}), ones("d", {3, 2, 1}),
                          m.f32_weight("bg", {3, 1}, {0, 2, 0}), m.f32_weight("bu", {3, 1}, {0, 4, 0}),
                          m.f32_weight("bd", {3, 2}, {0, 0, 100, 200, 0, 0})},
                         {{"act", string("identity")}});
  close(run(m, y, 1), {115, 215});  // (1 + 2) * (1 + 4) + bias
}

TEST_CASE("experts: the lower index wins a tie, and each token meets its own") {
  TestModel m;
  const ValueId x = m.feed({{1, 0}, {0, 1}});
  const ValueId logits = m.op("tenon.linear/1", {x, m.f32_weight("r", {3, 2}, {1, 0, 1, 0, 0, 5})});
  const auto route = m.ops("tenon.moe_route/1", {logits}, {{"k", int64_t{1}}, {"score", string("softmax_selected")}});
  const ValueId gate = m.f32_weight("g", {3, 1, 2}, {1, 1, 2, 2, 3, 3});
  const ValueId up = m.f32_weight("u", {3, 1, 2}, {1, 1, 1, 1, 1, 1});
  const ValueId down = m.f32_weight("d", {3, 2, 1}, {1, 10, 1, 10, 1, 10});
  const ValueId y = m.op("tenon.moe_ffn/1", {x, route[0], route[1], gate, up, down}, {{"act", string("identity")}});
  close(run(m, y, 2), {1, 10, 3, 30});
}

TEST_CASE("fused graphs give the unfused numbers") {
  TestModel m;
  const ValueId x = m.op("tenon.embed/1", {m.input("tokens"), m.random_weight("t", {4, 16}, 1)});
  const ValueId n = m.op("tenon.rms_norm/1", {x}, {{"eps", 1e-5}});
  const ValueId gate = m.op("tenon.linear/1", {n, m.random_weight("g", {24, 16}, 2), m.random_weight("gb", {24}, 3)});
  const ValueId up = m.op("tenon.linear/1", {n, m.random_weight("u", {24, 16}, 4)});
  const ValueId h = m.op("tenon.glu/1", {gate, up}, {{"act", string("silu")}});
  const ValueId y = m.op("tenon.add/1", {x, m.op("tenon.linear/1", {h, m.random_weight("d", {16, 24}, 5)})});
  const ValueId a = m.op("tenon.linear/1", {y, m.random_weight("a", {8, 16}, 6)});
  const ValueId b = m.op("tenon.linear/1", {y, m.random_weight("b", {8, 16}, 7), m.random_weight("bb", {8}, 8)});
  const ValueId out = m.op("tenon.mul/1", {a, b});
  const std::vector<float> plain = run(m, out, 4);
  CHECK(optimise(m.graph) == std::vector<string>{"fuse_glu", "fuse_residual", "group_linears"});
  CHECK(run(m, out, 4) == plain);
}

TEST_CASE("explanations and forcing") {
  TestModel m;
  m.graph.outputs["hidden"] = m.feed({{1}});
  const auto backend = make_backend("reference", 1);
  CHECK(Runner(*backend, m).exec->explain() == std::vector<string>{"tenon.embed/1: reference"});
  ExecOptions options;
  options.force = "tenon.embed/1=reference";
  CHECK_NOTHROW(backend->compile(m.graph, m.weights, options));
  options.force = "tenon.embed/1=avx2";
  CHECK_THROWS_WITH_AS(backend->compile(m.graph, m.weights, options), doctest::Contains("avx2"), Error);
}
