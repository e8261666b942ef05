// tenon.moe_route/1, tenon.sparse_mixer/1 and tenon.moe_ffn/1: the choice of experts and their gated feed-forward.
#include "graph/ops/ops.hpp"

namespace tenon::ops {

static void route_results(OpCheck& op, const Shape& logits, int64_t k) {
  if (k < 1 || k > logits[1])
    op.bad("k {} is outside [1, {}], the experts of logits {}", k, logits[1], shape_text(logits));
  op.result(Elem::i32, {logits[0], k});
  op.result(Elem::f32, {logits[0], k});
}

static void check_groups(const OpCheck& op, const RouteSpec& spec, int64_t experts) {
  if (spec.n_group < 1 || experts % spec.n_group != 0)
    op.bad("n_group {} does not divide {} experts", spec.n_group, experts);
  if (spec.topk_group < 1 || spec.topk_group > spec.n_group)
    op.bad("topk_group {} is outside [1, n_group {}]", spec.topk_group, spec.n_group);
  const int64_t width = experts / spec.n_group;
  if (spec.group_rank == GroupRank::top2_sum && spec.n_group > 1 && width < 2)
    op.bad("group_rank top2_sum with {} groups of {} expert", spec.n_group, width);
  if (spec.k > spec.topk_group * width)
    op.bad("k {} is more than the {} experts of {} groups", spec.k, spec.topk_group * width, spec.topk_group);
}

static void infer_route(Graph& graph, Node& node) {
  OpCheck op(graph, node,
             {{"k", AttrKind::integer, Need::required},
              {"score", AttrKind::string, Need::required},
              {"n_group", AttrKind::integer},
              {"topk_group", AttrKind::integer},
              {"group_rank", AttrKind::string},
              {"renormalise", AttrKind::integer},
              {"scale", AttrKind::real}});
  const Shape logits = op.f32(0, "logits");
  op.rank(logits, "logits", 2);
  op.weight_is(1, "bias", {logits[1]});
  const RouteSpec spec = route_spec(node);
  route_results(op, logits, spec.k);
  check_groups(op, spec, logits[1]);
}

static void infer_mixer(Graph& graph, Node& node) {
  OpCheck op(graph, node, {{"k", AttrKind::integer, Need::required}, {"jitter", AttrKind::real, Need::required}});
  const Shape logits = op.f32(0, "logits");
  op.rank(logits, "logits", 2);
  if (mixer_spec(node).jitter < 0) op.bad("jitter {} is below 0", mixer_spec(node).jitter);
  route_results(op, logits, mixer_spec(node).k);
}

static void infer_ffn(Graph& graph, Node& node) {
  OpCheck op(graph, node,
             {{"act", AttrKind::string, Need::required}, {"alpha", AttrKind::real}, {"limit", AttrKind::real}});
  check_glu(op, node);
  const Shape x = op.f32(0, "x");
  const Shape& ids = op.i32(1, "ids");
  const Shape& weights = op.f32(2, "weights");
  const Shape& gate = op.weight(3, "Wgate");
  const Shape& down = op.weight(5, "Wdown");
  op.rank(x, "x", 2);
  op.rank(ids, "ids", 2);
  op.same(weights, "weights", ids, "ids");
  op.rank(gate, "Wgate", 3);
  op.same(op.weight(4, "Wup"), "Wup", gate, "Wgate");
  if (ids[0] != x[0]) op.bad("ids {} and x {} differ in rows", shape_text(ids), shape_text(x));
  if (gate[2] != x[1]) op.bad("Wgate {} does not match the last dimension of x {}", shape_text(gate), shape_text(x));
  if (down != Shape{gate[0], gate[2], gate[1]})
    op.bad("Wdown {} does not match Wgate {}", shape_text(down), shape_text(gate));
  op.weight_is(6, "bgate", {gate[0], gate[1]});
  op.weight_is(7, "bup", {gate[0], gate[1]});
  op.weight_is(8, "bdown", {gate[0], gate[2]});
  op.result(Elem::f32, x);
}

const OpDef kMoeRoute = {
    "tenon.moe_route/1",
    "logits f32 [T, E]\n"
    "bias weight [E], may be absent: added to the scores for the selection only\n"
    "-> ids i32 [T, k], best first, the lower index first among equals\n"
    "-> weights f32 [T, k]: the scores without the bias\n"
    "k int; score string: softmax (over all), sigmoid, softmax_selected (over the k selected)\n"
    "n_group int = 1: experts in as many equal groups, of which only the topk_group int = n_group best stay in the\n"
    "choice; group_rank string = max: a group is as good as its best expert, or top2_sum: as its two best together\n"
    "renormalise int = 0: weights / (sum + 1e-20); scale real = 1: of the weights, last",
    1,
    2,
    2,
    0,
    infer_route};

const OpDef kSparseMixer = {
    "tenon.sparse_mixer/1",
    "logits f32 [T, E]\n"
    "-> ids i32 [T, k], best first, the lower index first among equals\n"
    "-> weights f32 [T, k]: of the softmax over those experts s that are near the best m of the experts not yet\n"
    "chosen, (m - s) / max(|s|, m) <= 2 jitter, each choice by itself; their sum is not 1\n"
    "k int; jitter real",
    1,
    1,
    2,
    0,
    infer_mixer};

const OpDef kMoeFfn = {"tenon.moe_ffn/1",
                       "x f32 [T, d]\n"
                       "ids i32 [T, k]\n"
                       "weights f32 [T, k]\n"
                       "Wgate weight [E, f, d]\n"
                       "Wup weight [E, f, d]\n"
                       "Wdown weight [E, d, f]\n"
                       "bgate weight [E, f], bup weight [E, f], bdown weight [E, d]: each may be absent\n"
                       "-> f32 [T, d]: sum over k of weights * (Wdown h + bdown)[id], with h = glu(Wgate x + bgate,\n"
                       "Wup x + bup)[id]\n"
                       "act string, alpha real, limit real: as of tenon.glu/1",
                       6,
                       9,
                       1,
                       0,
                       infer_ffn};

}  // namespace tenon::ops
