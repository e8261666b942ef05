// The rewrite passes: what they change, what they must leave alone, and that every result still validates.
#include "graph/passes.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "graph_builder.hpp"

using namespace tenon;
using std::string;
using tenon::test::GraphBuilder;

namespace {

constexpr int64_t T = kDimTokens;
const Attrs kNeox = {{"layout", string("neox")}, {"n_rot", int64_t{8}}};

Xform unpermute(int64_t heads) { return {XformOp::rope_unpermute, 0, {heads, 0, 0, 0}, 0}; }

std::vector<string> op_names(const Graph& graph) {
  std::vector<string> names;
  for (const Node& n : graph.nodes) names.push_back(n.op);
  return names;
}

struct Options {
  Attrs q_rope = kNeox;
  int64_t q_heads_in_step = 4;
  bool k_stored_permuted = true;
  bool bias = false;
  bool bias_permuted = true;
  bool weight_used_twice = false;
  bool q_read_twice = false;
  bool q_scaled = false;
};

struct Attention {
  GraphBuilder b;
  std::vector<WeightId> permuted;  // q, k (and the biases)
  std::vector<size_t> ropes;
};

ValueId projection(Attention& a, const string& name, int64_t heads, const std::vector<Xform>& steps, const Options& o) {
  GraphBuilder& b = a.b;
  std::vector<ValueId> in = {1, b.weight(name, {heads * 8, 16}, steps)};
  in[0] = b.graph.nodes[0].outputs[0];
  a.permuted.push_back(static_cast<WeightId>(b.graph.weights.size()));
  if (o.bias) {
    in.push_back(b.weight(name + ".bias", {heads * 8}, o.bias_permuted ? steps : std::vector<Xform>{}));
    a.permuted.push_back(static_cast<WeightId>(b.graph.weights.size()));
  }
  return b.op("tenon.reshape/1", {b.op("tenon.linear/1", in)}, {{"shape", Shape{T, heads, 8}}});
}

/// x -> q, k, v -> rope -> attention with G = 2 and H = 4 heads of 8 dims.
Attention attention(const Options& o) {
  Attention a;
  GraphBuilder& b = a.b;
  const ValueId x = b.rows({16}), pos = b.input("positions");
  ValueId q = projection(a, "q", 4, {unpermute(o.q_heads_in_step)}, o);
  ValueId k = projection(a, "k", 2, o.k_stored_permuted ? std::vector<Xform>{unpermute(2)} : std::vector<Xform>{}, o);
  Options plain;
  const ValueId v =
      b.op("tenon.reshape/1", {b.op("tenon.linear/1", {x, b.weight("v", {16, 16})})}, {{"shape", Shape{T, 2, 8}}});
  q = b.op("tenon.rope/1", {q, pos}, o.q_rope);
  a.ropes.push_back(b.graph.nodes.size() - 1);
  k = b.op("tenon.rope/1", {k, pos}, kNeox);
  a.ropes.push_back(b.graph.nodes.size() - 1);
  if (o.q_scaled) q = b.op("tenon.position_scale/1", {q, pos}, {{"beta", 0.1}, {"length", int64_t{8}}});
  ValueId y = b.op("tenon.attention/1", {q, k, v}, {{"scale", 0.35}}, {b.kv(2, 8, 8)});
  if (o.q_read_twice) y = b.op("tenon.add/1", {y, q});
  y = b.op("tenon.reshape/1", {y}, {{"shape", Shape{T, 32}}});
  if (o.weight_used_twice) y = b.op("tenon.add/1", {y, b.op("tenon.linear/1", {x, b.use(a.permuted[0])})});
  b.graph.outputs["hidden"] = y;
  return a;
}

/// Runs the pass; true when all of it applied, false when it left the graph alone. Anything between fails.
bool kept_stored(Attention a) {
  const auto count = [&](auto&& list, auto&& test) { return std::ranges::count_if(list, test); };
  const auto interleaved = [&](size_t n) { return rope_spec(a.b.graph.nodes[n]).layout == RopeLayout::interleaved; };
  const auto stepless = [&](WeightId id) { return a.b.graph.weight(id).sources[0].steps.empty(); };
  const auto ropes_before = count(a.ropes, interleaved), weights_before = count(a.permuted, stepless);
  keep_stored_rope_rows(a.b.graph);
  validate(a.b.graph);
  const bool all = count(a.ropes, interleaved) == 2 && std::ranges::all_of(a.permuted, stepless);
  const bool none = count(a.ropes, interleaved) == ropes_before && count(a.permuted, stepless) == weights_before;
  CHECK(all != none);
  return all;
}

}  // namespace

TEST_CASE("stored rope rows are kept when both sides qualify") {
  CHECK(kept_stored(attention({})));
  Options o;
  o.bias = true;
  CHECK(kept_stored(attention(o)));
  o.q_scaled = true;
  CHECK(kept_stored(attention(o)));
}

TEST_CASE("stored rope rows are left alone otherwise") {
  const auto with = [](auto&& change) {
    Options o;
    change(o);
    return kept_stored(attention(o));
  };
  CHECK(!with([](Options& o) { o.k_stored_permuted = false; }));
  CHECK(!with([](Options& o) { o.q_heads_in_step = 2; }));
  CHECK(!with([](Options& o) { o.weight_used_twice = true; }));
  CHECK(!with([](Options& o) { o.q_read_twice = true; }));
  CHECK(!with([](Options& o) { o.q_rope["n_rot"] = int64_t{4}; }));
  CHECK(!with([](Options& o) { o.q_rope["layout"] = string("interleaved"); }));
  CHECK(!with([](Options& o) {
    o.bias = true;
    o.bias_permuted = false;
  }));
}

TEST_CASE("a tied weight counts as used twice") {
  Attention a = attention({});
  GraphWeight tied = a.b.graph.weight(a.permuted[0]);
  tied.name = "tied";
  tied.chosen = -1;
  tied.tied_to = a.permuted[0];
  a.b.graph.weights.push_back(tied);
  const ValueId x = a.b.graph.nodes[0].outputs[0];
  a.b.op("tenon.linear/1", {x, a.b.use(static_cast<WeightId>(a.b.graph.weights.size()))});
  CHECK(!kept_stored(std::move(a)));
}

TEST_CASE("a block fuses into groups, glu and residual sums") {
  GraphBuilder b;
  const ValueId x = b.rows({16});
  const ValueId q = b.op("tenon.linear/1", {x, b.weight("q", {16, 16}), b.weight("qb", {16})});
  const ValueId q3 = b.op("tenon.reshape/1", {q}, {{"shape", Shape{T, 2, 8}}});
  const ValueId k =
      b.op("tenon.reshape/1", {b.op("tenon.linear/1", {x, b.weight("k", {16, 16})})}, {{"shape", Shape{T, 2, 8}}});
  const ValueId v =
      b.op("tenon.reshape/1", {b.op("tenon.linear/1", {x, b.weight("v", {16, 16})})}, {{"shape", Shape{T, 2, 8}}});
  const ValueId a = b.op("tenon.reshape/1", {b.op("tenon.attention/1", {q3, k, v}, {{"scale", 0.3}}, {b.kv(2, 8, 8)})},
                         {{"shape", Shape{T, 16}}});
  const ValueId x1 = b.op("tenon.add/1", {x, b.op("tenon.linear/1", {a, b.weight("o", {16, 16})})});
  const ValueId n = b.op("tenon.rms_norm/1", {x1}, {{"eps", 1e-5}});
  const ValueId gate = b.op("tenon.linear/1", {n, b.weight("g", {24, 16})});
  const ValueId up = b.op("tenon.linear/1", {n, b.weight("u", {24, 16}), b.weight("ub", {24})});
  const ValueId h = b.op("tenon.glu/1", {gate, up}, {{"act", string("silu")}});
  const ValueId down = b.op("tenon.linear/1", {h, b.weight("d", {16, 24})});
  const ValueId y = b.op("tenon.add/1", {down, x1});
  b.op("tenon.softcap/1", {y}, {{"cap", 3.0}});  // dead
  b.graph.outputs["hidden"] = y;

  CHECK(optimise(b.graph) == std::vector<string>{"drop_dead", "fuse_glu", "fuse_residual", "group_linears"});
  validate(b.graph);
  CHECK(op_names(b.graph) == std::vector<string>{"tenon.embed/1", "host.linear_group", "tenon.reshape/1",
                                                 "tenon.reshape/1", "tenon.reshape/1", "tenon.attention/1",
                                                 "tenon.reshape/1", "host.linear_add", "tenon.rms_norm/1",
                                                 "host.linear_glu", "host.linear_add"});
  const Node& group = b.graph.nodes[1];
  CHECK(group.inputs.size() == 7);
  CHECK(group.outputs[0] == q);
  const Node& glu = b.graph.nodes[9];
  CHECK(glu.inputs[2] == 0);
  CHECK(glu.inputs[4] != 0);
  CHECK(b.graph.nodes[10].inputs[3] == x1);
  CHECK(b.graph.nodes[10].outputs[0] == y);
}

TEST_CASE("fusing leaves results that others read") {
  GraphBuilder b;
  const ValueId x = b.rows({16});
  const ValueId gate = b.op("tenon.linear/1", {x, b.weight("g", {16, 16})});
  const ValueId up = b.op("tenon.linear/1", {b.op("tenon.scale_shift/1", {x}), b.weight("u", {16, 16})});
  const ValueId h = b.op("tenon.glu/1", {gate, up}, {{"act", string("silu")}});  // different inputs
  const ValueId lin = b.op("tenon.linear/1", {h, b.weight("d", {16, 16})});
  const ValueId sum = b.op("tenon.add/1", {x, lin});
  b.graph.outputs["hidden"] = sum;
  b.graph.outputs["extra"] = lin;
  CHECK(optimise(b.graph).empty());
  validate(b.graph);
}

TEST_CASE("a parallel block folds both branches into the residual") {
  GraphBuilder b;
  const ValueId x = b.rows({16}), y = b.op("tenon.scale_shift/1", {x}), z = b.op("tenon.scale_shift/1", {y});
  const ValueId one = b.op("tenon.linear/1", {y, b.weight("1", {16, 16})});
  const ValueId two = b.op("tenon.linear/1", {z, b.weight("2", {16, 16})});
  b.graph.outputs["hidden"] = b.op("tenon.add/1", {b.op("tenon.add/1", {one, two}), x});
  optimise(b.graph);
  validate(b.graph);
  CHECK(std::ranges::count(op_names(b.graph), "host.linear_add") == 1);
  CHECK(std::ranges::count(op_names(b.graph), "tenon.linear/1") == 1);
}

TEST_CASE("dead code goes, ops with state stay") {
  GraphBuilder b;
  const ValueId x = b.rows({2, 8});
  b.op("tenon.attention/1", {x, x, x}, {{"scale", 1.0}}, {b.kv(2, 8, 8)});
  b.op("tenon.softcap/1", {b.op("tenon.scale_shift/1", {x})}, {{"cap", 1.0}});
  b.graph.outputs["hidden"] = b.op("tenon.scale_shift/1", {x});
  drop_dead(b.graph);
  CHECK(op_names(b.graph) ==
        std::vector<string>{"tenon.embed/1", "tenon.reshape/1", "tenon.attention/1", "tenon.scale_shift/1"});
}

TEST_CASE("transposed key matrices of latent attention are taken as stored") {
  for (bool used_twice : {false, true}) {
    GraphBuilder b;
    const ValueId nope = b.rows({2, 5}), pe = b.rows({2, 4}), c = b.rows({7}), k_pe = b.rows({1, 4});
    const ValueId k_b = b.weight("k_b", {2, 5, 7}, {{XformOp::transpose, 0, {1, 2, 0, 0}, 0}});
    const auto id = static_cast<WeightId>(b.graph.weights.size());
    const ValueId v_b = b.weight("v_b", {2, 3, 7});
    const ValueId y = b.op("tenon.mla_attention/1", {nope, pe, c, k_pe, k_b, v_b}, {{"scale", 0.5}},
                           {b.slot_state(StateKind::mla_latent, {11})});
    if (used_twice) b.op("tenon.linear_per_head/1", {b.rows({2, 7}), b.use(id)});
    b.graph.outputs["hidden"] = y;
    keep_stored_latent_keys(b.graph);
    validate(b.graph);
    CHECK(b.graph.weight(id).shape == (used_twice ? Shape{2, 5, 7} : Shape{2, 7, 5}));
    CHECK(b.graph.weight(id).sources[0].steps.empty() != used_twice);
  }
}
