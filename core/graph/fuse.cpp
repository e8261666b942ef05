// The fusing passes. Results keep their ValueIds, so only nodes change; weights are always there and x is a value in
// SSA form, hence a linear may move to any place after x and before its readers.
#include <unordered_map>

#include "graph/passes.hpp"
#include "graph/uses.hpp"

namespace tenon {

namespace {
constexpr size_t kMaxGroup = 64;

ValueId bias(const Node& linear) { return operand(linear, 2); }
}  // namespace

void fuse_glu(Graph& graph) {
  const Uses uses(graph);
  std::vector<bool> dead(graph.nodes.size(), false);
  for (Node& node : graph.nodes) {
    if (node.op != "tenon.glu/1" || node.inputs[0] == node.inputs[1]) continue;
    const Node* gate = uses.sole(graph, node.inputs[0], "tenon.linear/1");
    const Node* up = uses.sole(graph, node.inputs[1], "tenon.linear/1");
    if (!gate || !up || gate->inputs[0] != up->inputs[0]) continue;
    dead[uses.producer[node.inputs[0] - 1]] = true;
    dead[uses.producer[node.inputs[1] - 1]] = true;
    node.op = "host.linear_glu";
    node.inputs = {gate->inputs[0], gate->inputs[1], bias(*gate), up->inputs[1], bias(*up)};
  }
  erase_nodes(graph, dead);
}

void fuse_residual(Graph& graph) {
  const Uses uses(graph);
  std::vector<bool> dead(graph.nodes.size(), false);
  for (Node& node : graph.nodes) {
    if (node.op != "tenon.add/1") continue;
    // The later operand first: of two linears the one computed last is the branch, the other the residual.
    for (size_t side : {1, 0}) {
      const ValueId sum = node.inputs[side], residual = node.inputs[1 - side];
      const Node* linear = uses.sole(graph, sum, "tenon.linear/1");
      const GraphValue& r = graph.value(residual);
      if (!linear || r.kind == ValueKind::weight || r.shape != graph.value(sum).shape) continue;
      dead[uses.producer[sum - 1]] = true;
      node.inputs = {linear->inputs[0], linear->inputs[1], bias(*linear), residual};
      node.op = "host.linear_add";
      break;
    }
  }
  erase_nodes(graph, dead);
}

void group_linears(Graph& graph) {
  std::unordered_map<ValueId, std::vector<size_t>> by_input;
  for (size_t n = 0; n < graph.nodes.size(); ++n)
    if (graph.nodes[n].op == "tenon.linear/1") by_input[graph.nodes[n].inputs[0]].push_back(n);
  std::vector<bool> dead(graph.nodes.size(), false);
  for (const auto& [x, linears] : by_input) {
    if (linears.size() < 2 || linears.size() > kMaxGroup) continue;
    Node group = graph.nodes[linears.front()];
    group.op = "host.linear_group";
    group.inputs = {x};
    group.outputs.clear();
    for (size_t n : linears) {
      const Node& linear = graph.nodes[n];
      group.inputs.push_back(linear.inputs[1]);
      group.inputs.push_back(bias(linear));
      group.outputs.push_back(linear.outputs[0]);
      dead[n] = n != linears.front();
    }
    graph.nodes[linears.front()] = std::move(group);
  }
  erase_nodes(graph, dead);
}

}  // namespace tenon
