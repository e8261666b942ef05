// Every op of the CPU backend except attention and experts, against the reference, on odd shapes.
#include "backend/cpu/linear.hpp"
#include "backend/cpu_harness.hpp"
#include "base/error.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {
const char* const kActs[] = {"identity", "silu", "gelu_erf", "gelu_tanh", "relu", "relu2",
                             "sigmoid",  "tanh", "softplus", "exp",       "neg"};
constexpr DType kTypes[] = {DType::f32, DType::f16, DType::bf16, DType::q4_0, DType::q4_1, DType::q8_0};
}  // namespace

TEST_CASE("embed reads rows of every type and scales them") {
  for (DType type : kTypes) {
    TestGraph g;
    g.output(g.op("tenon.embed/1", {g.tokens, g.typed("table", {kVocab, 96}, type)}, {{"scale", 1.7}}));
    check_graph(g, {1e-6, 1e-6});
  }
}

TEST_CASE("norms with and without weights, over heads too") {
  for (int64_t d : {1, 7, 16, 33, 129}) {
    TestGraph g;
    const ValueId x = g.data("x", {3, d});
    ValueId y = g.op("tenon.rms_norm/1", {x, g.typed("w", {d})}, {{"eps", 1e-5}});
    y = g.op("tenon.add/1", {y, g.op("tenon.rms_norm/1", {x, 0}, {{"eps", 1e-6}})});
    y = g.op("tenon.add/1",
             {y, g.op("tenon.layer_norm/1", {x, g.typed("lw", {d}), g.typed("lb", {d})}, {{"eps", 1e-5}})});
    y = g.op("tenon.add/1", {y, g.op("tenon.layer_norm/1", {x, 0, 0}, {{"eps", 1e-5}})});
    g.output(y);
    check_graph(g);
  }
}

TEST_CASE("norms over groups, l2 norms and sums of rows") {
  for (auto [groups, d] : {std::pair<int64_t, int64_t>{1, 19}, {4, 16}, {3, 7}}) {
    TestGraph g;
    const ValueId x = g.data("x", {groups * d}), w = g.typed("w", {groups * d}), b = g.typed("b", {groups * d});
    const Attrs attrs = {{"eps", 1e-5}, {"groups", groups}};
    ValueId y =
        g.op("tenon.add/1", {g.op("tenon.rms_norm/1", {x, w}, attrs), g.op("tenon.layer_norm/1", {x, w, b}, attrs)});
    y = g.op("tenon.add/1", {y, g.op("tenon.layer_norm/1", {x, 0, 0}, attrs)});
    const ValueId heads = g.op("tenon.reshape/1", {y}, {{"shape", Shape{kDimTokens, groups, d}}});
    const ValueId l2 = g.op("tenon.l2_norm/1", {heads}, {{"eps", 1e-6}});
    g.output(g.op("tenon.mul/1", {heads, g.op("tenon.row_sum/1", {g.op("tenon.mul/1", {l2, l2})})}));
    check_graph(g);
  }
}

TEST_CASE("a group norm equals a norm of each head") {
  TestGraph g;
  const ValueId x = g.data("x", {3, 5});
  const ValueId flat = g.op("tenon.reshape/1", {x}, {{"shape", Shape{kDimTokens, 15}}});
  const Attrs eps = {{"eps", 1e-3}};
  const ValueId heads =
      g.op("tenon.reshape/1", {g.op("tenon.layer_norm/1", {x, 0, 0}, eps)}, {{"shape", Shape{kDimTokens, 15}}});
  const ValueId groups = g.op("tenon.layer_norm/1", {flat, 0, 0}, {{"eps", 1e-3}, {"groups", int64_t{3}}});
  g.output(g.op("tenon.sub/1", {heads, groups}));
  for (const char* name : {"cpu", "reference"}) {
    const auto outputs = run_steps(*make_backend(name, 1), g.graph, g.weights(1), {{{0, 4}}}, {});
    REQUIRE(outputs.at(0).size() == 4 * 15);
    for (const float y : outputs[0]) CHECK(y == 0);
  }
}

TEST_CASE("broadcasts over rows and within rows") {
  for (const char* op : {"tenon.add/1", "tenon.sub/1", "tenon.mul/1"}) {
    CAPTURE(op);
    TestGraph g;
    ValueId y = g.data("x", {4, 19});
    for (const ValueId other :
         {g.data("same", {4, 19}), g.data("per head", {4, 1}), g.typed("row", {19}),
          g.typed("matrix", {4, 19}, DType::f16), g.typed("per row", {4, 1}), g.typed("one", {1})})
      y = g.op(op, {y, other});
    g.output(y);
    check_graph(g);
  }
}

TEST_CASE("elementwise ops, forced on every instruction set") {
  auto cpu = make_cpu_backend(1);
  for (const std::string& isa : vector_names(*cpu))
    for (const char* act : kActs) {
      CAPTURE(act);
      CAPTURE(isa);
      TestGraph g;
      const ValueId x = g.data("x", {53}), z = g.data("z", {53});
      ValueId y = g.op("tenon.unary/1", {x}, {{"act", std::string(act)}});
      y = g.op("tenon.mul/1", {y, g.op("tenon.glu/1", {z, x}, {{"act", std::string(act)}})});
      y = g.op("tenon.scale_shift/1", {y}, {{"scale", 0.3}, {"shift", -0.1}});
      y = g.op("tenon.softcap/1", {y}, {{"cap", 2.5}});
      y = g.op("tenon.clamp/1", {y}, {{"lo", -2.0}, {"hi", 1.5}});
      y = g.op("tenon.add/1", {g.op("tenon.mul/1", {y, g.typed("m", {53}, DType::f16)}), g.typed("b", {53})});
      g.output(y);
      check_graph(g, {2e-5, 2e-5}, {{{0, 3}}, {{0, 1}}},
                  "unary=" + isa + ",glu=" + isa + ",mul=" + isa + ",tenon.add/1=" + isa + ",softcap=" + isa +
                      ",scale_shift=" + isa + ",clamp=" + isa);
    }
}

TEST_CASE("square roots") {
  TestGraph g;
  const ValueId x = g.data("x", {19});
  g.output(g.op("tenon.unary/1", {g.op("tenon.mul/1", {x, x})}, {{"act", std::string("sqrt")}}));
  check_graph(g);
}

TEST_CASE("rows scaled by their positions, a clamp with one bound") {
  TestGraph g;
  const Attrs growth = {{"beta", 0.4}, {"length", int64_t{7}}, {"offset", int64_t{2}}};
  const ValueId x = g.op("tenon.position_scale/1", {g.data("x", {3, 11}), g.positions}, growth);
  g.output(g.op("tenon.clamp/1", {x}, {{"lo", -0.5}}));
  check_graph(g);
}

TEST_CASE("longrope's lists as stored tensors equal those in attributes") {
  TestGraph g, by_attrs;
  Attrs attrs = {{"layout", std::string("neox")},
                 {"n_rot", int64_t{8}},
                 {"scaling", std::string("longrope")},
                 {"original_ctx", int64_t{102}}};
  const auto list = [](TestGraph& t, const char* name) { return t.typed(name, {4}); };
  g.output(g.op("tenon.rope/1", {g.data("x", {3, 10}), g.positions, 0, list(g, "short"), list(g, "long")}, attrs));
  std::vector<HostTensor> weights = g.weights(3);
  const float shorts[] = {1, 1.5f, 2, 3}, longs[] = {2, 4, 8, 16};
  std::memcpy(weights[1].mutable_data(), shorts, sizeof shorts);
  std::memcpy(weights[2].mutable_data(), longs, sizeof longs);
  attrs["short_factors"] = std::vector<double>(shorts, shorts + 4);
  attrs["long_factors"] = std::vector<double>(longs, longs + 4);
  by_attrs.output(by_attrs.op("tenon.rope/1", {by_attrs.data("x", {3, 10}), by_attrs.positions}, attrs));
  auto cpu = make_cpu_backend(2), reference = make_reference_backend();
  const auto expected = run_steps(*reference, by_attrs.graph, {weights[0]}, kRagged, {});
  const auto got = run_steps(*cpu, g.graph, weights, kRagged, {2});
  for (size_t i = 0; i < got.size(); ++i) CHECK(max_error(got[i], expected[i]) <= 1e-5);
  CHECK(run_steps(*reference, g.graph, weights, kRagged, {}) == expected);
}

TEST_CASE("slices, rows and views") {
  TestGraph g;
  const ValueId x = g.data("x", {4, 10});
  ValueId y = g.op("tenon.slice/1", {x}, {{"start", int64_t{3}}, {"length", int64_t{5}}});
  y = g.op("tenon.reshape/1", {y}, {{"shape", Shape{kDimTokens, 20}}});
  g.output(g.op("tenon.take_rows/1", {y, g.row_ids}));
  check_graph(g, {0, 0});
  auto reference = make_reference_backend();
  auto cpu = make_cpu_backend(2);
  RunOptions last;
  last.all_rows = false;
  const auto weights = g.weights(1);
  const auto a = run_steps(*reference, g.graph, weights, kRagged, last),
             b = run_steps(*cpu, g.graph, weights, kRagged, last);
  CHECK(a == b);
}

TEST_CASE("rope outside attention: both layouts, partial, every scaling") {
  for (const char* layout : {"neox", "interleaved"})
    for (const char* scaling : {"none", "linear", "dynamic", "smooth", "yarn", "longrope"})
      for (int64_t n_rot : {6, 20, 64}) {
        CAPTURE(layout);
        CAPTURE(scaling);
        CAPTURE(n_rot);
        TestGraph g;
        const std::vector<double> shorts(static_cast<size_t>(n_rot / 2), 1.1),
            longs(static_cast<size_t>(n_rot / 2), 3.0);
        Attrs attrs = {{"layout", std::string(layout)},
                       {"n_rot", n_rot},
                       {"base", 1e4},
                       {"scaling", std::string(scaling)},
                       {"factor", 4.0},
                       {"original_ctx", int64_t{102}},
                       {"magnitude", 1.2}};
        if (std::string(scaling) == "longrope") {
          attrs["short_factors"] = shorts;
          attrs["long_factors"] = longs;
        }
        g.output(g.op("tenon.rope/1",
                      {g.data("x", {3, 64}), g.positions, g.typed("factors", {n_rot / 2}, DType::f32, 0)}, attrs));
        auto weights = g.weights(3);
        for (HostTensor& w : weights)
          if (w.shape == Shape{n_rot / 2})
            for (int64_t i = 0; i < n_rot / 2; ++i)
              reinterpret_cast<float*>(w.mutable_data())[i] = 1 + 0.1f * static_cast<float>(i);
        auto reference = make_reference_backend();
        const auto expected = run_steps(*reference, g.graph, weights, kRagged, {});
        for (int threads : {1, 2}) {
          auto cpu = make_cpu_backend(threads);
          const auto got = run_steps(*cpu, g.graph, weights, kRagged, {threads});
          for (size_t i = 0; i < got.size(); ++i) CHECK(max_error(got[i], expected[i]) <= 1e-5);
        }
      }
}

namespace {
/// norm, grouped and gated linears with biases, a residual, and logits of chosen rows.
TestGraph linear_graph(DType type, int64_t d, int64_t f) {
  TestGraph g;
  const float spread = 1 / std::sqrt(static_cast<float>(d));
  const ValueId x = g.data("x", {d});
  ValueId h = g.op("tenon.rms_norm/1", {x, g.typed("n1", {d})}, {{"eps", 1e-5}});
  const ValueId a = g.op("tenon.linear/1", {h, g.typed("a", {f, d}, type, spread), g.typed("ab", {f})});
  const ValueId b = g.op("tenon.linear/1", {h, g.typed("b", {f, d}, DType::f32, spread)});
  const ValueId c = g.op("tenon.linear/1", {h, g.typed("c", {f, d}, type, spread)});
  h = g.op("tenon.add/1", {a, g.op("tenon.mul/1", {b, c})});
  const ValueId r =
      g.op("tenon.add/1", {x, g.op("tenon.linear/1", {h, g.typed("o", {d, f}, type, spread), g.typed("ob", {d})})});
  h = g.op("tenon.layer_norm/1", {r, g.typed("n2", {d}), g.typed("n2b", {d})}, {{"eps", 1e-5}});
  const ValueId gate = g.op("tenon.linear/1", {h, g.typed("gate", {f, d}, type, spread), g.typed("gateb", {f})});
  const ValueId up = g.op("tenon.linear/1", {h, g.typed("up", {f, d}, type, spread)});
  h = g.op("tenon.glu/1", {gate, up}, {{"act", std::string("silu")}});
  h = g.op("tenon.add/1", {r, g.op("tenon.linear/1", {h, g.typed("down", {d, f}, type, spread)})});
  h = g.op("tenon.take_rows/1", {h, g.row_ids});
  g.output(g.op("tenon.linear/1", {h, g.typed("head", {77, d}, type, spread)}));
  return g;
}
}  // namespace

TEST_CASE("the linear family in every type") {
  for (DType type : kTypes) {
    CAPTURE(dtype_info(type).name);
    check_graph(linear_graph(type, 96, 160), {2e-5, 2.5e-2});
    if (!is_block(type)) check_graph(linear_graph(type, 37, 51), {2e-5, 2.5e-2});
  }
}

TEST_CASE("every implementation of a product, forced, inside an executable") {
  for (const cpu::LinearImpl& impl : cpu::linear_impls()) {
    CAPTURE(impl.name);
    for (DType type : {DType::f32, DType::q4_0, DType::q8_0}) {
      const TestGraph g = linear_graph(type, 64, 96);
      const bool exact_takes = !impl.refuse({type, 96, 64, 1, true}) || !impl.refuse({type, 96, 64, 64, true});
      if (exact_takes)
        check_graph(g, {2e-5, 2.5e-2}, {{{0, 1}}, {{0, 2}}, {{0, 7}}, {{1, 60}}}, std::string("linear=") + impl.name);
    }
  }
}

TEST_CASE("forcing what does not exist or never applies is an error") {
  auto cpu = make_cpu_backend(1);
  const TestGraph g = linear_graph(DType::f32, 32, 32);
  const auto weights = g.weights(1);
  for (const char* force : {"linear=nonsense", "rms_norm=nonsense", "attention=avx2", "linear", "=x"}) {
    CAPTURE(force);
    CHECK_THROWS_AS(run_steps(*cpu, g.graph, weights, {{{0, 1}}}, {1, true, force}), Error);
  }
}

TEST_CASE("a row's result does not depend on its company beyond rounding") {
  const TestGraph g = linear_graph(DType::q4_0, 96, 160);
  const auto weights = g.weights(5);
  Graph graph = g.graph;
  optimise(graph);
  auto cpu = make_cpu_backend(2);
  for (bool exact : {true, false}) {
    const auto alone = run_steps(*cpu, graph, weights, {{{0, 1}}}, {2, exact});
    const auto batch = run_steps(*cpu, graph, weights, {{{0, 1}, {1, 40}, {2, 9}}}, {2, exact});
    const std::vector<float> first(batch[0].begin(), batch[0].begin() + 77);
    CHECK(max_error(first, alone[0]) <= 1e-4);
  }
}
