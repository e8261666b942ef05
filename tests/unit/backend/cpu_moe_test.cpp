// Routing and experts of the CPU backend against the reference.
#include "backend/cpu_harness.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {

TestGraph moe_graph(DType type, int64_t experts, int64_t k, const std::string& score, int64_t renormalise, bool bias) {
  const int64_t d = 64, f = 96;
  TestGraph g;
  const ValueId x = g.data("x", {d});
  const ValueId h = g.op("tenon.rms_norm/1", {x, g.typed("n", {d})}, {{"eps", 1e-5}});
  const ValueId logits = g.op("tenon.linear/1", {h, g.typed("router", {experts, d}, DType::f32, 0.3f)});
  const auto route = g.ops("tenon.moe_route/1", {logits, bias ? g.typed("bias", {experts}, DType::f32, 0.2f) : 0},
                           {{"k", k}, {"score", score}, {"renormalise", renormalise}, {"scale", 1.5}});
  const ValueId y = g.op("tenon.moe_ffn/1",
                         {h, route[0], route[1], g.typed("gate", {experts, f, d}, type, 0.12f),
                          g.typed("up", {experts, f, d}, type, 0.12f), g.typed("down", {experts, d, f}, type, 0.1f)},
                         {{"act", std::string("silu")}});
  g.output(g.op("tenon.add/1", {x, y}));
  return g;
}

}  // namespace

TEST_CASE("experts in several types and routes") {
  for (DType type : {DType::f32, DType::bf16, DType::q4_0, DType::q8_0})
    for (const char* score : {"softmax", "sigmoid", "softmax_selected"}) {
      CAPTURE(dtype_info(type).name);
      CAPTURE(score);
      check_graph(moe_graph(type, 8, 2, score, 1, std::string(score) == "sigmoid"), {3e-5, 2.5e-2});
    }
  check_graph(moe_graph(DType::f32, 1, 1, "softmax", 0, false));
  check_graph(moe_graph(DType::f32, 40, 7, "softmax", 0, false));
}

TEST_CASE("groups of experts and the sparse mixer") {
  for (const char* rank : {"max", "top2_sum"})
    for (bool bias : {false, true}) {
      TestGraph g;
      const ValueId logits = g.data("x", {24});
      const auto route = g.ops("tenon.moe_route/1", {logits, bias ? g.typed("bias", {24}, DType::f32, 0.2f) : 0},
                               {{"k", int64_t{5}},
                                {"score", std::string("sigmoid")},
                                {"n_group", int64_t{6}},
                                {"topk_group", int64_t{2}},
                                {"group_rank", std::string(rank)},
                                {"renormalise", int64_t{1}}});
      g.output(route[1]);
      check_graph(g);
    }
  TestGraph g;
  g.output(g.ops("tenon.sparse_mixer/1", {g.data("x", {16})}, {{"k", int64_t{2}}, {"jitter", 0.05}})[1]);
  check_graph(g);
}

TEST_CASE("the clamped gated unit, alone, behind linears and in experts") {
  const Attrs how = {{"act", std::string("swiglu_oai")}, {"alpha", 1.6}, {"limit", 1.5}};
  TestGraph g;
  const ValueId x = g.data("x", {96});
  const auto linear = [&](const char* name, bool bias) {
    return g.op("tenon.linear/1", {x, g.typed(name, {80, 96}), bias ? g.typed(std::string(name) + " b", {80}) : 0});
  };
  const ValueId fused = g.op("tenon.glu/1", {linear("gate", true), linear("up", false)}, how);
  const ValueId gate = linear("g", false), up = linear("u", true);
  g.output(g.op("tenon.add/1", {fused, g.op("tenon.add/1", {g.op("tenon.glu/1", {gate, up}, how), gate})}));
  check_graph(g);
}

TEST_CASE("experts with biases and a clamped unit, few and many hidden values") {
  for (int64_t f : {int64_t{96}, int64_t{8224}})  // the latter are packed by the whole team
    for (DType type : {DType::f32, DType::q4_0}) {
      const int64_t experts = 5, d = 64;
      TestGraph g;
      const ValueId x = g.data("x", {d});
      const ValueId logits = g.op("tenon.linear/1", {x, g.typed("router", {experts, d}, DType::f32, 0.3f),
                                                     g.typed("router b", {experts}, DType::f32, 0.3f)});
      const auto route =
          g.ops("tenon.moe_route/1", {logits}, {{"k", int64_t{2}}, {"score", std::string("softmax_selected")}});
      g.output(g.op("tenon.moe_ffn/1",
                    {x, route[0], route[1], g.typed("gate", {experts, f, d}, type, 0.2f),
                     g.typed("up", {experts, f, d}, type, 0.2f), g.typed("down", {experts, d, f}, type, 0.1f),
                     g.typed("bg", {experts, f}, DType::f32), g.typed("bu", {experts, f}, DType::bf16),
                     g.typed("bd", {experts, d}, DType::f32)},
                    {{"act", std::string("swiglu_oai")}, {"limit", 2.0}}));
      CAPTURE(f);
      CAPTURE(dtype_info(type).name);
      check_graph(g, {3e-5, 2.5e-2}, {{{0, 1}}, {{0, 3}, {1, 1}}});
    }
}

TEST_CASE("an expert that nobody chose is not read") {
  const int64_t experts = 8, d = 64, f = 96;
  TestGraph g;
  const ValueId x = g.data("x", {d});
  // The router's bias is above all scores: tokens choose experts 2 and 5.
  const ValueId logits = g.op("tenon.linear/1", {x, g.typed("router", {experts, d}, DType::f32, 0.01f)});
  const auto route = g.ops("tenon.moe_route/1", {logits, g.typed("bias", {experts})},
                           {{"k", int64_t{2}}, {"score", std::string("sigmoid")}});
  g.output(g.op("tenon.moe_ffn/1",
                {x, route[0], route[1], g.typed("gate", {experts, f, d}), g.typed("up", {experts, f, d}),
                 g.typed("down", {experts, d, f})},
                {{"act", std::string("silu")}}));
  std::vector<HostTensor> weights = g.weights(3);
  for (size_t i = 0; i < weights.size(); ++i) {
    auto* values = reinterpret_cast<float*>(weights[i].mutable_data());
    if (g.graph.weights[i].name == "bias")
      for (int e = 0; e < experts; ++e) values[e] = e == 2 || e == 5 ? 10.f : 0.f;
    if (weights[i].shape.size() == 3)
      for (int64_t e = 0; e < experts; ++e)
        if (e != 2 && e != 5) std::fill_n(values + e * d * f, d * f, NAN);
  }
  for (int threads : {1, 3}) {
    auto cpu = make_cpu_backend(threads);
    for (int tokens : {1, 2, 40}) {
      ExecOptions options;
      auto exec = cpu->compile(g.graph, weights, options);
      auto states = cpu->make_states(g.graph, {{}, 1}, false);
      std::vector<int32_t> ids(static_cast<size_t>(tokens));
      for (int i = 0; i < tokens; ++i) ids[static_cast<size_t>(i)] = i;
      std::vector<SeqRows> seqs(1);
      seqs[0].n_rows = tokens;
      CHECK(exec->expert_bytes_read() == 0);
      exec->run({ids, ids, seqs, ids}, *states);
      CHECK(exec->expert_bytes_read() == static_cast<uint64_t>(2 * 3 * d * f * 4));
      for (float y : exec->output("y")) CHECK(std::isfinite(y));
    }
  }
}

TEST_CASE("an expert's weights may be of another type than its neighbours'") {
  TestGraph g = moe_graph(DType::q4_0, 4, 2, "softmax", 1, false);
  g.types["up"] = DType::q8_0;
  g.types["down"] = DType::f16;
  check_graph(g, {3e-5, 2.5e-2});
}
