// Use counts, dead code, and the order of the fusing passes.
#include "graph/passes.hpp"
#include "graph/uses.hpp"

namespace tenon {

WeightId tie_root(const Graph& graph, WeightId id) {
  while (graph.weight(id).chosen < 0 && graph.weight(id).tied_to != 0 && graph.weight(id).tied_to < id)
    id = graph.weight(id).tied_to;
  return id;
}

Uses::Uses(const Graph& graph)
    : readers(graph.values.size(), 0), producer(graph.values.size(), kNoNode), weight(graph.weights.size(), 0) {
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    for (ValueId id : graph.nodes[n].outputs) producer[id - 1] = n;
    for (ValueId id : graph.nodes[n].inputs) {
      if (id == 0) continue;
      ++readers[id - 1];
      if (graph.value(id).kind == ValueKind::weight) ++weight[tie_root(graph, graph.value(id).weight) - 1];
    }
  }
  for (const auto& [name, id] : graph.outputs) ++readers[id - 1];
}

const Node* Uses::sole(const Graph& graph, ValueId id, std::string_view op) const {
  if (id == 0 || producer[id - 1] == kNoNode || readers[id - 1] != 1) return nullptr;
  const Node& node = graph.nodes[producer[id - 1]];
  return node.op == op ? &node : nullptr;
}

void erase_nodes(Graph& graph, const std::vector<bool>& dead) {
  size_t kept = 0;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (dead[n]) continue;
    if (kept != n) graph.nodes[kept] = std::move(graph.nodes[n]);
    ++kept;
  }
  graph.nodes.resize(kept);
}

void drop_dead(Graph& graph) {
  std::vector<bool> live(graph.values.size(), false), dead(graph.nodes.size(), false);
  for (const auto& [name, id] : graph.outputs) live[id - 1] = true;
  for (size_t n = graph.nodes.size(); n-- > 0;) {
    const Node& node = graph.nodes[n];
    bool needed = !node.states.empty();  // an op that writes state has an effect of its own
    for (ValueId id : node.outputs) needed = needed || live[id - 1];
    dead[n] = !needed;
    if (!needed) continue;
    for (ValueId id : node.inputs)
      if (id != 0) live[id - 1] = true;
  }
  erase_nodes(graph, dead);
}

std::vector<std::string> optimise(Graph& graph) {
  struct Pass {
    const char* name;
    void (*run)(Graph&);
  };
  // Gate and up projections pair up before the rest of the linears on the same input form groups.
  static constexpr Pass kPasses[] = {{"drop_dead", drop_dead},
                                     {"fuse_glu", fuse_glu},
                                     {"fuse_residual", fuse_residual},
                                     {"group_linears", group_linears}};
  std::vector<std::string> changed;
  for (const Pass& pass : kPasses) {
    const size_t before = graph.nodes.size();
    pass.run(graph);
    if (graph.nodes.size() != before) changed.emplace_back(pass.name);
  }
  return changed;
}

}  // namespace tenon
