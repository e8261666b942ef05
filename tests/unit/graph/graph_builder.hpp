// Small graphs for tests: declares values, weights and ops in a line each.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "graph/catalogue.hpp"

namespace tenon::test {

struct GraphBuilder {
  Graph graph;

  ValueId input(const std::string& name) {
    GraphValue v;
    v.kind = ValueKind::input;
    v.elem = Elem::i32;
    v.shape = {name == "rows" ? kDimRows : kDimTokens};
    v.name = name;
    return graph.add_value(std::move(v));
  }

  ValueId weight(const std::string& name, Shape shape, std::vector<Xform> steps = {}) {
    GraphWeight w;
    w.name = name;
    w.shape = shape;
    w.sources.push_back({WeightFormat::gguf, {name}, std::move(steps)});
    w.chosen = 0;
    graph.weights.push_back(std::move(w));
    return use(static_cast<WeightId>(graph.weights.size()));
  }

  ValueId use(WeightId id) {
    GraphValue v;
    v.kind = ValueKind::weight;
    v.weight = id;
    v.shape = graph.weight(id).shape;
    return graph.add_value(std::move(v));
  }

  StateId kv(int64_t heads, int64_t dim_k, int64_t dim_v, int64_t window = 0) {
    GraphState s;
    s.name = fmt::format("kv{}", graph.states.size());
    s.layer = 0;
    s.n_heads = heads;
    s.dim_k = dim_k;
    s.dim_v = dim_v;
    s.window = window;
    graph.states.push_back(std::move(s));
    return static_cast<StateId>(graph.states.size());
  }

  StateId slot_state(StateKind kind, Shape shape) {
    GraphState s;
    s.name = fmt::format("state{}", graph.states.size());
    s.kind = kind;
    s.layer = 0;
    s.shape = std::move(shape);
    graph.states.push_back(std::move(s));
    return static_cast<StateId>(graph.states.size());
  }

  std::vector<ValueId> ops(std::string op, std::vector<ValueId> in, Attrs attrs = {},
                           std::vector<StateId> states = {}) {
    Node node;
    node.op = std::move(op);
    node.inputs = std::move(in);
    node.attrs = std::move(attrs);
    node.states = std::move(states);
    node.at = {"plugins/x/demo.cpp", 42, "layers.3.attn", 3};
    return graph.nodes[append_node(graph, std::move(node))].outputs;
  }

  ValueId op(std::string id, std::vector<ValueId> in, Attrs attrs = {}, std::vector<StateId> states = {}) {
    return ops(std::move(id), std::move(in), std::move(attrs), std::move(states))[0];
  }

  /// A value [tokens, dims...] to start from: embedded tokens, reshaped when there is more than one dimension.
  ValueId rows(const Shape& dims) {
    int64_t width = 1;
    for (int64_t d : dims) width *= d;
    ValueId x =
        op("tenon.embed/1", {input("tokens"), weight(fmt::format("table{}", graph.weights.size()), {8, width})});
    if (dims.size() == 1) return x;
    Shape shape = {kDimTokens};
    shape.insert(shape.end(), dims.begin(), dims.end());
    return op("tenon.reshape/1", {x}, {{"shape", shape}});
  }

  const Shape& shape(ValueId id) const { return graph.value(id).shape; }
};

}  // namespace tenon::test
