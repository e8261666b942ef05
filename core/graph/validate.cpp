// Whole-graph checks: caps, names, shapes of what was declared, order of definition, and every node's shapes once more.
#include <algorithm>

#include "base/error.hpp"
#include "graph/catalogue.hpp"
#include "graph/limits.hpp"
#include "graph/op_check.hpp"

namespace tenon {

namespace {

void check_name(std::string_view what, const std::string& name) {
  if (name.empty()) fail(ErrorCode::bad_plugin, "[graph] a {} has no name", what);
  if (name.size() > kMaxName)
    fail(ErrorCode::bad_plugin, "[graph] {} name of {} bytes, the limit is {}", what, name.size(), kMaxName);
}

void check_literal(const std::string& what, const Shape& shape, const Location& at) {
  int64_t n = 1;
  if (shape.empty() || shape.size() > kMaxRank)
    fail(ErrorCode::bad_plugin, "[graph] {} has rank {}, expected 1 to {}, at {}", what, shape.size(), kMaxRank,
         location_text(at));
  for (int64_t d : shape)
    if (d < 1 || __builtin_mul_overflow(n, d, &n) || n > kMaxElements)
      fail(ErrorCode::bad_plugin, "[graph] {} has shape {}, at {}", what, shape_text(shape), location_text(at));
}

void check_weights(const Graph& graph) {
  if (graph.weights.size() > kMaxWeights)
    fail(ErrorCode::bad_plugin, "[graph] {} weights, the limit is {}", graph.weights.size(), kMaxWeights);
  for (size_t i = 0; i < graph.weights.size(); ++i) {
    const GraphWeight& w = graph.weights[i];
    check_name("weight", w.name);
    check_literal("weight \"" + w.name + "\"", w.shape, w.at);
    if (w.tied_to > i)
      fail(ErrorCode::bad_plugin, "[graph] weight \"{}\" is tied to weight {}, which is not an earlier one, at {}",
           w.name, w.tied_to, location_text(w.at));
    if (w.chosen >= static_cast<int>(w.sources.size()))
      fail(ErrorCode::bad_plugin, "[graph] weight \"{}\" uses source {} of {}", w.name, w.chosen, w.sources.size());
  }
}

void check_states(const Graph& graph, int64_t n_layers) {
  if (graph.states.size() > kMaxNodes)
    fail(ErrorCode::bad_plugin, "[graph] {} states, the limit is {}", graph.states.size(), kMaxNodes);
  for (const GraphState& s : graph.states) {
    check_name("state", s.name);
    const std::string what = "state \"" + s.name + "\"";
    if (s.kind == StateKind::kv) {
      check_literal(what, {s.n_heads, s.dim_k}, s.at);
      check_literal(what, {s.n_heads, s.dim_v}, s.at);
    } else {
      check_literal(what, s.shape, s.at);
    }
    if (s.window < 0)
      fail(ErrorCode::bad_plugin, "[graph] {} has window {}, at {}", what, s.window, location_text(s.at));
    if (s.layer < -1 || s.layer >= n_layers)
      fail(ErrorCode::bad_plugin, "[graph] state \"{}\" is of layer {} of {}", s.name, s.layer, n_layers);
  }
}

void check_value(const Graph& graph, const GraphValue& v) {
  if (v.kind == ValueKind::weight && (v.weight == 0 || v.weight > graph.weights.size()))
    fail(ErrorCode::bad_plugin, "[graph] a value names weight {} of {}", v.weight, graph.weights.size());
  if (v.kind == ValueKind::weight && v.shape != graph.weight(v.weight).shape)
    fail(ErrorCode::bad_plugin, "[graph] weight \"{}\" {} is used as {}", graph.weight(v.weight).name,
         shape_text(graph.weight(v.weight).shape), shape_text(v.shape));
  if (v.kind != ValueKind::input) return;
  const bool rows = v.name == "rows";
  if (!rows && v.name != "tokens" && v.name != "positions")
    fail(ErrorCode::bad_plugin, "[graph] unknown input \"{}\"; known: tokens positions rows",
         v.name.substr(0, kMaxName));
  if (v.elem != Elem::i32 || v.shape != Shape{rows ? kDimRows : kDimTokens})
    fail(ErrorCode::bad_plugin, "[graph] input \"{}\" has shape {}", v.name, shape_text(v.shape));
}

/// Infers the node again on a scratch copy and compares; the scratch keeps no values of it.
void recheck(Graph& scratch, const Node& node) {
  const OpDef* def = find_op(node.op);
  if (!def) fail(ErrorCode::bad_plugin, "[graph] unknown op \"{}\", at {}", node.op, location_text(node.at));
  check_counts(scratch, node, *def);
  const size_t n_values = scratch.values.size();
  Node probe = node;
  probe.outputs.clear();
  def->infer(scratch, probe);
  bool same = probe.outputs.size() == node.outputs.size();
  for (size_t i = 0; same && i < node.outputs.size(); ++i) {
    const ValueId id = node.outputs[i];
    same = id >= 1 && id <= n_values && scratch.value(id).kind == ValueKind::result &&
           scratch.value(id).elem == scratch.value(probe.outputs[i]).elem &&
           scratch.value(id).shape == scratch.value(probe.outputs[i]).shape;
  }
  if (!same)
    fail(ErrorCode::bad_plugin, "[{}] results differ from what its operands give, at {}", node.op,
         location_text(node.at));
  scratch.values.resize(n_values);
}

void check_nodes(const Graph& graph, std::vector<bool>& defined) {
  Graph scratch;
  scratch.values = graph.values;
  scratch.states = graph.states;
  std::vector<bool> written(graph.states.size(), false);
  for (const Node& node : graph.nodes) {
    recheck(scratch, node);
    for (ValueId id : node.inputs)
      if (id != 0 && !defined[id - 1])
        fail(ErrorCode::bad_plugin, "[{}] value {} is used before it is defined, at {}", node.op, id,
             location_text(node.at));
    for (ValueId id : node.outputs) {
      if (defined[id - 1])
        fail(ErrorCode::bad_plugin, "[{}] value {} is defined twice, at {}", node.op, id, location_text(node.at));
      defined[id - 1] = true;
    }
    for (StateId id : node.states) {
      if (written[id - 1])
        fail(ErrorCode::bad_plugin, "[{}] state \"{}\" is written by an earlier op already, at {}", node.op,
             graph.state(id).name, location_text(node.at));
      written[id - 1] = true;
    }
  }
}

void check_outputs(const Graph& graph, const std::vector<bool>& defined) {
  if (graph.outputs.empty()) fail(ErrorCode::bad_plugin, "[graph] no output was declared");
  for (const auto& [name, id] : graph.outputs) {
    check_name("output", name);
    if (id == 0 || id > graph.values.size() || !defined[id - 1] || graph.value(id).kind != ValueKind::result ||
        graph.value(id).elem != Elem::f32)
      fail(ErrorCode::bad_plugin, "[graph] output \"{}\" is no f32 result of an op", name);
  }
  const auto logits = graph.outputs.find("logits");
  if (logits == graph.outputs.end()) return;
  graph.param_int("d_model");
  graph.param_int("n_ctx");
  const Shape want = {kDimRows, graph.param_int("n_vocab")};
  if (graph.value(logits->second).shape != want)
    fail(ErrorCode::bad_plugin, "[graph] output \"logits\" has shape {}, expected {}",
         shape_text(graph.value(logits->second).shape), shape_text(want));
}

}  // namespace

void validate(const Graph& graph) {
  const bool decoder = graph.outputs.contains("logits");
  const int64_t n_layers = decoder || graph.params.contains("n_layers") ? graph.param_int("n_layers") : kMaxLayers;
  if (n_layers < 0 || n_layers > kMaxLayers)
    fail(ErrorCode::bad_plugin, "[graph] n_layers is {}, the limit is {}", n_layers, kMaxLayers);
  if (graph.nodes.size() > kMaxNodes)
    fail(ErrorCode::bad_plugin, "[graph] {} ops, the limit is {}", graph.nodes.size(), kMaxNodes);
  check_weights(graph);
  check_states(graph, n_layers);
  std::vector<bool> defined(graph.values.size(), false);
  for (size_t i = 0; i < graph.values.size(); ++i) {
    check_value(graph, graph.values[i]);
    defined[i] = graph.values[i].kind != ValueKind::result;
  }
  check_nodes(graph, defined);
  check_outputs(graph, defined);
}

}  // namespace tenon
