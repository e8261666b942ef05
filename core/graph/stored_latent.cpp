// Key matrices of latent attention stay in the order they are stored in: one format keeps them transposed, and to
// transpose a block-quantised matrix would mean to unpack it.
#include "graph/catalogue.hpp"
#include "graph/passes.hpp"
#include "graph/uses.hpp"

namespace tenon {

namespace {

/// Swaps the last two axes of a [H, a, b] weight's declaration in place of its last step, which does the same.
bool take_back_transpose(Graph& graph, const Uses& uses, WeightId id) {
  GraphWeight& weight = graph.weight(id);
  if (weight.chosen < 0 || uses.weight[tie_root(graph, id) - 1] != 1 || weight.shape.size() != 3) return false;
  std::vector<Xform>& steps = weight.sources[static_cast<size_t>(weight.chosen)].steps;
  if (steps.empty() || steps.back().op != XformOp::transpose) return false;
  const int64_t* a = steps.back().a;
  if (!(a[0] == 1 && a[1] == 2) && !(a[0] == 2 && a[1] == 1)) return false;
  steps.pop_back();
  std::swap(weight.shape[1], weight.shape[2]);
  return true;
}

}  // namespace

void keep_stored_latent_keys(Graph& graph) {
  const Uses uses(graph);
  for (Node& node : graph.nodes) {
    if (node.op != "tenon.mla_attention/1" || mla_spec(graph, node).k_b_transposed) continue;
    GraphValue& k_b = graph.value(node.inputs[4]);
    if (!take_back_transpose(graph, uses, k_b.weight)) continue;
    k_b.shape = graph.weight(k_b.weight).shape;
    node.attrs["k_b_transposed"] = int64_t{1};
  }
}

}  // namespace tenon
