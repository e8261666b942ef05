// Folding of norms into linears and of rotations into attention.
#include "backend/cpu/fuse.hpp"

#include <algorithm>

namespace tenon::cpu {

namespace {

bool is_linear(std::string_view op) {
  return op == "tenon.linear/1" || op == "host.linear_group" || op == "host.linear_glu" || op == "host.linear_add";
}
bool is_norm(std::string_view op) { return op == "tenon.rms_norm/1" || op == "tenon.layer_norm/1"; }

struct Use {
  size_t node = 0, operand = 0, count = 0;
};

/// Who reads each value; graph outputs count as a reader that cannot be folded.
std::vector<Use> uses_of(const Graph& graph) {
  std::vector<Use> uses(graph.values.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (size_t j = 0; j < graph.nodes[i].inputs.size(); ++j)
      if (ValueId id = graph.nodes[i].inputs[j]) uses[id - 1] = {i, j, uses[id - 1].count + 1};
  for (const auto& [name, id] : graph.outputs) uses[id - 1].count += 2;
  return uses;
}

bool fold_norm(const Node& node, const Use& use, std::vector<FusedNode>& fused) {
  FusedNode& into = fused[use.node];
  if (!is_norm(node.op) || !is_linear(into.node.op) || use.operand != 0 || into.norm) return false;
  into.norm = node;
  into.node.inputs[0] = node.inputs[0];
  into.node.outputs.push_back(node.outputs[0]);
  return true;
}

bool fold_rope(const Node& node, const Use& use, std::vector<FusedNode>& fused) {
  FusedNode& into = fused[use.node];
  const bool latent = into.node.op == "tenon.mla_attention/1";
  const size_t q = latent ? 1 : 0, k = latent ? 3 : 1;
  if (node.op != "tenon.rope/1" || !(latent || into.node.op == "tenon.attention/1")) return false;
  if (use.operand != q && use.operand != k) return false;
  (use.operand == q ? into.rope_q : into.rope_k) = node;
  into.node.inputs[use.operand] = node.inputs[0];
  return true;
}

}  // namespace

std::vector<FusedNode> fuse_for_cpu(Graph& graph) {
  const std::vector<Use> uses = uses_of(graph);
  std::vector<FusedNode> fused;
  for (const Node& node : graph.nodes) fused.push_back({node, {}, {}, {}, node.outputs.size()});
  std::vector<bool> gone(fused.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.outputs.size() != 1) continue;
    const Use& use = uses[node.outputs[0] - 1];
    if (use.count == 1) gone[i] = fold_norm(node, use, fused) || fold_rope(node, use, fused);
  }
  std::vector<FusedNode> kept;
  graph.nodes.clear();
  for (size_t i = 0; i < fused.size(); ++i) {
    if (gone[i]) continue;
    kept.push_back(std::move(fused[i]));
    graph.nodes.push_back(kept.back().node);
  }
  return kept;
}

}  // namespace tenon::cpu
