// The table of ops, and the one way nodes come to be.
#include "graph/catalogue.hpp"

#include <array>

#include "base/error.hpp"
#include "graph/limits.hpp"
#include "graph/ops/ops.hpp"

namespace tenon {

std::span<const OpDef> all_ops() {
  static const std::array kOps = {
#define TENON_OP(name) ops::name,
#include "graph/ops/ops.def"
#undef TENON_OP
  };
  return kOps;
}

const OpDef* find_op(std::string_view id) {
  for (const OpDef& op : all_ops())
    if (op.id == id) return &op;
  return nullptr;
}

void check_counts(const Graph& graph, const Node& node, const OpDef& def) {
  const std::string at = location_text(node.at);
  const auto n_in = static_cast<int64_t>(node.inputs.size());
  if (n_in < def.min_inputs || n_in > def.max_inputs)
    fail(ErrorCode::bad_plugin, "[{}] {} operands, expected {} to {}, at {}", node.op, n_in, def.min_inputs,
         def.max_inputs, at);
  if (static_cast<int64_t>(node.states.size()) != def.n_states)
    fail(ErrorCode::bad_plugin, "[{}] {} states, expected {}, at {}", node.op, node.states.size(), def.n_states, at);
  for (ValueId id : node.inputs)
    if (id > graph.values.size())
      fail(ErrorCode::bad_plugin, "[{}] operand id {} of {} values, at {}", node.op, id, graph.values.size(), at);
  for (StateId id : node.states)
    if (id == 0 || id > graph.states.size())
      fail(ErrorCode::bad_plugin, "[{}] state id {} of {} states, at {}", node.op, id, graph.states.size(), at);
}

size_t append_node(Graph& graph, Node node) {
  const OpDef* def = find_op(node.op);
  if (!def)
    fail(ErrorCode::bad_plugin, "[graph] unknown op \"{}\", at {}", node.op.substr(0, kMaxName),
         location_text(node.at));
  if (graph.nodes.size() >= kMaxNodes)
    fail(ErrorCode::bad_plugin, "[graph] more than {} ops, at {}", kMaxNodes, location_text(node.at));
  check_counts(graph, node, *def);
  node.outputs.clear();
  def->infer(graph, node);
  graph.nodes.push_back(std::move(node));
  return graph.nodes.size() - 1;
}

}  // namespace tenon
