// Whole-graph checks.
#include <doctest/doctest.h>

#include "base/error.hpp"
#include "graph_builder.hpp"

using namespace tenon;
using tenon::test::GraphBuilder;

namespace {

GraphBuilder decoder() {
  GraphBuilder b;
  const ValueId x = b.rows({16});
  const ValueId rows = b.op("tenon.take_rows/1", {x, b.input("rows")});
  b.graph.outputs["logits"] = b.op("tenon.linear/1", {rows, b.weight("head", {8, 16})});
  b.graph.params = {
      {"n_layers", int64_t{1}}, {"n_vocab", int64_t{8}}, {"d_model", int64_t{16}}, {"n_ctx", int64_t{64}}};
  return b;
}

std::string refusal(const Graph& graph) {
  try {
    validate(graph);
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::bad_plugin);
    return e.what();
  }
  return "";
}

bool says(const Graph& graph, const std::string& part) {
  const std::string text = refusal(graph);
  INFO(text);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a whole decoder passes") { CHECK(refusal(decoder().graph) == ""); }

TEST_CASE("what a decoder must declare") {
  for (const char* key : {"n_layers", "n_vocab", "d_model", "n_ctx"}) {
    Graph g = decoder().graph;
    g.params.erase(key);
    CHECK(says(g, std::string("\"") + key + "\" was not declared"));
  }
  Graph g = decoder().graph;
  g.params["n_vocab"] = int64_t{9};
  CHECK(says(g, "[rows, 8], expected [rows, 9]"));
  g = decoder().graph;
  g.params["n_layers"] = int64_t{4097};
  CHECK(says(g, "n_layers is 4097, the limit is 4096"));
  g = decoder().graph;
  g.outputs.clear();
  CHECK(says(g, "no output"));
}

TEST_CASE("caps on names, shapes and ties") {
  Graph g = decoder().graph;
  g.weights[0].name = std::string(257, 'x');
  CHECK(says(g, "257 bytes, the limit is 256"));
  g = decoder().graph;
  g.weights[0].shape = {int64_t{1} << 40, int64_t{1} << 40};
  CHECK(says(g, "has shape"));
  g = decoder().graph;
  g.weights[0].shape = Shape(9, 1);
  CHECK(says(g, "rank 9"));
  g = decoder().graph;
  g.weights[0].tied_to = 1;
  CHECK(says(g, "not an earlier one"));
  g = decoder().graph;
  g.states.push_back({"kv", StateKind::kv, 7, 2, 8, 8, 0});
  CHECK(says(g, "of layer 7 of 1"));
}

TEST_CASE("order and shapes of nodes are checked again") {
  Graph g = decoder().graph;
  std::swap(g.nodes[0], g.nodes[1]);
  CHECK(says(g, "used before it is defined"));
  g = decoder().graph;
  g.nodes.push_back(g.nodes[0]);
  CHECK(says(g, "defined twice"));
  g = decoder().graph;
  g.value(g.nodes[0].outputs[0]).shape = {kDimTokens, 17};
  CHECK(refusal(g) != "");
  g = decoder().graph;
  g.nodes[0].inputs[1] = 5000;
  CHECK(says(g, "operand id 5000"));
}

TEST_CASE("a state is written once") {
  GraphBuilder b = decoder();
  const ValueId q = b.rows({2, 8});
  const StateId kv = b.kv(2, 8, 8);
  b.op("tenon.attention/1", {q, q, q}, {{"scale", 1.0}}, {kv});
  CHECK(refusal(b.graph) == "");
  b.op("tenon.attention/1", {q, q, q}, {{"scale", 1.0}}, {kv});
  CHECK(says(b.graph, "\"kv0\" is written by an earlier op"));
}

TEST_CASE("inputs are the known ones") {
  GraphBuilder b = decoder();
  b.input("mask");
  CHECK(says(b.graph, "unknown input \"mask\""));
}

TEST_CASE("places read well") {
  CHECK(location_text({"/a/b/demo.cpp", 42, "layers.3.attn", 3}) == "demo.cpp:42 (layer 3, attn)");
  CHECK(location_text({"demo.cpp", 7, "", -1}) == "demo.cpp:7");
  CHECK(location_text({"demo.cpp", 7, "head", -1}) == "demo.cpp:7 (head)");
  CHECK(location_text({"demo.cpp", 7, "layers.3", 3}) == "demo.cpp:7 (layer 3)");
  CHECK(shape_text({kDimTokens, 4, 64}) == "[tokens, 4, 64]");
}
