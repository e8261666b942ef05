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

TEST_CASE("an expert's weights may be of another type than its neighbours'") {
  TestGraph g = moe_graph(DType::q4_0, 4, 2, "softmax", 1, false);
  g.types["up"] = DType::q8_0;
  g.types["down"] = DType::f16;
  check_graph(g, {3e-5, 2.5e-2});
}
