// Every weight step there and back: the bytes that were stored, except for values that changed as float32.
#include "plugin/weights_back.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "memory_checkpoint.hpp"
#include "plugin/builder.hpp"
#include "plugin/describe.hpp"

using namespace tenon;
using tenon::test::MemoryCheckpoint;

namespace {

/// The weight that `steps` make of the stored tensors.
GraphWeight weight_of(const MemoryCheckpoint& c, WeightSource source) {
  std::vector<Shape> shapes;
  for (const std::string& n : source.names) shapes.push_back(c.find(n)->tensor.shape);
  GraphWeight w;
  w.name = "w", w.chosen = 0;
  w.shape = apply_shape(source, shapes, {2, 12}, "w");
  w.sources.push_back(std::move(source));
  return w;
}

std::vector<HostTensor> there_and_back(const MemoryCheckpoint& c, std::vector<std::string> names,
                                       std::vector<Xform> steps) {
  Graph graph;
  graph.weights.push_back(weight_of(c, {WeightFormat::safetensors, names, std::move(steps)}));
  std::vector<Shape> shapes;
  for (const std::string& n : names) shapes.push_back(c.find(n)->tensor.shape);
  return undo_steps(graph.weights[0].sources[0], shapes, load_weights(graph, c)[0], "w");
}

bool returns(const MemoryCheckpoint& c, const std::vector<std::string>& names, std::vector<Xform> steps) {
  const auto back = there_and_back(c, names, std::move(steps));
  REQUIRE(back.size() == names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    const HostTensor& stored = c.find(names[i])->tensor;
    if (back[i].dtype != stored.dtype || back[i].shape != stored.shape || back[i].bytes != stored.bytes) return false;
    if (std::memcmp(back[i].data, stored.data, stored.bytes) != 0) return false;
  }
  return true;
}

std::vector<float> values(const HostTensor& t) {
  const auto* x = reinterpret_cast<const float*>(t.data);
  return {x, x + t.elements()};
}

}  // namespace

TEST_CASE("steps that move elements give back the stored bytes") {
  MemoryCheckpoint c(Format::safetensors, Value(Value::Object{}));
  c.add("m", {4, 6});
  c.add("n", {4, 6}, 100);
  c.add("short", {3, 6}, 200);
  c.add_counting("half", DType::bf16, {4, 6});
  c.add_counting("q", DType::q8_0, {4, 32});
  c.add_counting("blocks", DType::u8, {2, 3, 16});
  c.add_counting("scales", DType::u8, {2, 3});
  for (const char* name : {"m", "half"}) {
    CAPTURE(name);
    CHECK(returns(c, {name}, {}));
    CHECK(returns(c, {name}, {{XformOp::transpose, 0, {0, 1}}}));
    CHECK(returns(c, {name}, {{XformOp::reshape}}));
    CHECK(returns(c, {name}, {{XformOp::transpose, 0, {0, 1}}, {XformOp::reshape}}));
  }
  for (const char* name : {"m", "half", "q"}) {
    CAPTURE(name);
    CHECK(returns(c, {name}, {{XformOp::rope_unpermute, 0, {1}}}));
    CHECK(returns(c, {name}, {{XformOp::rope_unpermute, 0, {2}}}));
    CHECK(returns(c, {name}, {{XformOp::regroup, 0, {2, 1}}}));
    CHECK(returns(c, {name}, {{XformOp::regroup, 0, {1, 1, 2}}, {XformOp::rope_unpermute, 0, {1}}}));
    CHECK(returns(c, {name}, {{XformOp::slice, 0, {0, 4}}}));
  }
  CHECK(returns(c, {"m", "n"}, {{XformOp::stack}}));
  CHECK(returns(c, {"m", "n"}, {{XformOp::stack}, {XformOp::transpose, 0, {1, 2}}}));
  CHECK(returns(c, {"m", "short", "n"}, {{XformOp::concat}}));
  CHECK(returns(c, {"m", "short"}, {{XformOp::concat}, {XformOp::regroup, 0, {1, 2, 3}}}));
  CHECK(returns(c, {"blocks", "scales"}, {{XformOp::mxfp4}}));
  CHECK_FALSE(returns(c, {"m"}, {{XformOp::slice, 0, {0, 3}}}));
}

TEST_CASE("a slice goes back to its place, the rest is zero") {
  MemoryCheckpoint c(Format::safetensors, Value(Value::Object{}));
  c.add("m", {4, 3}, 1);  // 1..12
  using V = std::vector<float>;
  const auto back = [&](Xform x) { return values(there_and_back(c, {"m"}, {x})[0]); };
  CHECK(back({XformOp::slice, 0, {1, 2}}) == V{0, 0, 0, 4, 5, 6, 7, 8, 9, 0, 0, 0});
  CHECK(back({XformOp::slice, 0, {1, 1, 2}}) == V{0, 0, 0, 4, 5, 6, 0, 0, 0, 10, 11, 12});
  CHECK(back({XformOp::slice, 0, {1, 2, 0, 2}}) == V{0, 0, 0, 4, 5, 6, 0, 0, 0, 10, 11, 12});
  CHECK(back({XformOp::slice, 1, {1, 1}}) == V{0, 2, 0, 0, 5, 0, 0, 8, 0, 0, 11, 0});
  CHECK(back({XformOp::slice, 1, {0, 2, 0, 2}}) == V{1, 0, 3, 4, 0, 6, 7, 0, 9, 10, 0, 12});
}

TEST_CASE("values that a step changed come back as float32 allows") {
  MemoryCheckpoint c(Format::safetensors, Value(Value::Object{}));
  c.add("v", {8}, -3);
  for (Xform x : {Xform{XformOp::add, 0, {}, 1}, Xform{XformOp::scale, 0, {}, 0.125}, Xform{XformOp::neg_exp}}) {
    CHECK(changes_values(x));
    const auto back = values(there_and_back(c, {"v"}, {x})[0]);
    for (int i = 0; i < 8; ++i) CHECK(std::fabs(back[static_cast<size_t>(i)] - static_cast<float>(i - 3)) <= 1e-6f);
  }
  CHECK_FALSE(changes_values({XformOp::slice, 0, {0, 1}}));
}
