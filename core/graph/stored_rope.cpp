// Q and k rows stored in interleaved order stay as they are: the scores q.k do not depend on the order of a head's dims
// as long as q and k share it, so an interleaved rope on the stored rows equals a neox rope on the reordered ones.

#include "graph/catalogue.hpp"
#include "graph/passes.hpp"
#include "graph/uses.hpp"

namespace tenon {

namespace {

/// What has to change on one side (q or k) of an attention.
struct Side {
  size_t rope = kNoNode;
  std::vector<WeightId> weights;  // W, and the bias when there is one
};

/// Adds a weight whose chosen source ends in rope_unpermute of `heads` heads and that nothing else uses.
bool take_weight(const Graph& graph, const Uses& uses, ValueId id, int64_t heads, Side& side) {
  const GraphValue& value = graph.value(id);
  if (value.kind != ValueKind::weight || uses.weight[tie_root(graph, value.weight) - 1] != 1) return false;
  const GraphWeight& weight = graph.weight(value.weight);
  if (weight.chosen < 0 || weight.sources[static_cast<size_t>(weight.chosen)].steps.empty()) return false;
  const Xform& last = weight.sources[static_cast<size_t>(weight.chosen)].steps.back();
  if (last.op != XformOp::rope_unpermute || last.axis != 0 || last.a[0] != heads) return false;
  side.weights.push_back(value.weight);
  return true;
}

/// linear -> reshape [T, H, D] -> full-width neox rope -> this operand of an attention, each with no other reader. A
/// clamp may follow the linear and a scale by position the rope: they treat a head's dims alike.
bool match_side(const Graph& graph, const Uses& uses, ValueId id, Side& side) {
  if (const Node* scale = uses.sole(graph, id, "tenon.position_scale/1")) id = scale->inputs[0];
  const Node* rope = uses.sole(graph, id, "tenon.rope/1");
  if (!rope) return false;
  const RopeSpec spec = rope_spec(*rope);
  const Shape& shape = graph.value(id).shape;
  if (spec.layout != RopeLayout::neox || spec.n_rot != shape[2]) return false;
  const Node* reshape = uses.sole(graph, rope->inputs[0], "tenon.reshape/1");
  if (!reshape) return false;
  const Node* clamp = uses.sole(graph, reshape->inputs[0], "tenon.clamp/1");
  const Node* linear = uses.sole(graph, clamp ? clamp->inputs[0] : reshape->inputs[0], "tenon.linear/1");
  if (!linear || graph.value(linear->outputs[0]).shape != Shape{shape[0], shape[1] * shape[2]}) return false;
  side.rope = uses.producer[id - 1];
  if (!take_weight(graph, uses, linear->inputs[1], shape[1], side)) return false;
  const ValueId bias = operand(*linear, 2);
  return bias == 0 || take_weight(graph, uses, bias, shape[1], side);
}

void apply(Graph& graph, const Side& side) {
  graph.nodes[side.rope].attrs["layout"] = std::string("interleaved");
  for (WeightId id : side.weights) {
    GraphWeight& weight = graph.weight(id);
    weight.sources[static_cast<size_t>(weight.chosen)].steps.pop_back();
  }
}

}  // namespace

void keep_stored_rope_rows(Graph& graph) {
  const Uses uses(graph);
  for (const Node& node : graph.nodes) {
    if (node.op != "tenon.attention/1") continue;
    Side q, k;
    if (!match_side(graph, uses, node.inputs[0], q) || !match_side(graph, uses, node.inputs[1], k)) continue;
    apply(graph, q);
    apply(graph, k);
  }
}

}  // namespace tenon
