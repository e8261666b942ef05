// tenon.rope/1: rotary position embedding of the first n_rot dims of each head. tenon.position_scale/1.
#include "graph/ops/ops.hpp"

namespace tenon {

namespace {
RopeScaling scaling_from_name(const Node& node) {
  const std::string name = attr_or<std::string>(node, "scaling", "none");
  if (name == "none") return RopeScaling::none;
  if (name == "linear") return RopeScaling::linear;
  if (name == "dynamic") return RopeScaling::dynamic;
  if (name == "smooth") return RopeScaling::smooth;
  if (name == "yarn") return RopeScaling::yarn;
  if (name == "longrope") return RopeScaling::longrope;
  fail(ErrorCode::bad_plugin, "[{}] unknown scaling \"{}\"; known: none linear dynamic smooth yarn longrope, at {}",
       node.op, name, location_text(node.at));
}
}  // namespace

RopeSpec rope_spec(const Node& node) {
  RopeSpec spec;
  const std::string layout = attr_or<std::string>(node, "layout", "neox");
  if (layout != "neox" && layout != "interleaved")
    fail(ErrorCode::bad_plugin, "[{}] unknown layout \"{}\"; known: neox interleaved, at {}", node.op, layout,
         location_text(node.at));
  spec.layout = layout == "neox" ? RopeLayout::neox : RopeLayout::interleaved;
  spec.scaling = scaling_from_name(node);
  spec.n_rot = attr_or<int64_t>(node, "n_rot", 0);
  spec.base = attr_or<double>(node, "base", spec.base);
  spec.factor = attr_or<double>(node, "factor", spec.factor);
  spec.original_ctx = attr_or<int64_t>(node, "original_ctx", 0);
  spec.low_freq_factor = attr_or<double>(node, "low_freq_factor", spec.low_freq_factor);
  spec.high_freq_factor = attr_or<double>(node, "high_freq_factor", spec.high_freq_factor);
  spec.beta_fast = attr_or<double>(node, "beta_fast", spec.beta_fast);
  spec.beta_slow = attr_or<double>(node, "beta_slow", spec.beta_slow);
  spec.truncate = attr_or<int64_t>(node, "truncate", 1) != 0;
  spec.magnitude = attr_or<double>(node, "magnitude", 1);
  spec.long_magnitude = attr_or<double>(node, "long_magnitude", spec.magnitude);
  spec.short_factors = attr_or<std::vector<double>>(node, "short_factors", {});
  spec.long_factors = attr_or<std::vector<double>>(node, "long_factors", {});
  return spec;
}

RopeFactorLists rope_factor_lists(const Node& node) {
  if (node.inputs.size() < 5) return {};
  return {node.inputs[3], node.inputs[4]};
}

namespace ops {

static void check_factors(const OpCheck& op, const std::vector<double>& factors, std::string_view name, int64_t want) {
  if (static_cast<int64_t>(factors.size()) != want)
    op.bad("{} has {} values, expected n_rot/2 = {}", name, factors.size(), want);
  for (double f : factors)
    if (!(f > 0)) op.bad("{} holds {}, expected values above 0", name, f);
}

static void check_scaling(const OpCheck& op, const RopeSpec& spec) {
  if (!(spec.base > 0)) op.bad("base {} is not above 0", spec.base);
  if (spec.scaling == RopeScaling::none) return;
  if (spec.scaling == RopeScaling::longrope && !op.has(3)) {
    check_factors(op, spec.short_factors, "short_factors", spec.n_rot / 2);
    check_factors(op, spec.long_factors, "long_factors", spec.n_rot / 2);
  }
  if (!(spec.factor > 0)) op.bad("factor {} is not above 0", spec.factor);
  if (spec.scaling != RopeScaling::linear && spec.original_ctx < 1)
    op.bad("original_ctx {} is not above 0, which this scaling needs", spec.original_ctx);
  if (spec.scaling == RopeScaling::dynamic && spec.factor < 1) op.bad("dynamic factor {} is below 1", spec.factor);
  if (spec.scaling == RopeScaling::smooth &&
      !(spec.low_freq_factor > 0 && spec.high_freq_factor > spec.low_freq_factor))
    op.bad("high_freq_factor {} is not above low_freq_factor {} > 0", spec.high_freq_factor, spec.low_freq_factor);
  if (spec.scaling == RopeScaling::yarn && !(spec.beta_fast > 0 && spec.beta_slow > 0 && spec.base > 1))
    op.bad("beta_fast {} and beta_slow {} must be above 0, base {} above 1", spec.beta_fast, spec.beta_slow, spec.base);
}

static void infer(Graph& graph, Node& node) {
  OpCheck op(graph, node,
             {{"layout", AttrKind::string, Need::required},
              {"n_rot", AttrKind::integer, Need::required},
              {"base", AttrKind::real},
              {"scaling", AttrKind::string},
              {"factor", AttrKind::real},
              {"original_ctx", AttrKind::integer},
              {"low_freq_factor", AttrKind::real},
              {"high_freq_factor", AttrKind::real},
              {"beta_fast", AttrKind::real},
              {"beta_slow", AttrKind::real},
              {"truncate", AttrKind::integer},
              {"magnitude", AttrKind::real},
              {"long_magnitude", AttrKind::real},
              {"short_factors", AttrKind::reals},
              {"long_factors", AttrKind::reals}});
  const Shape x = op.f32(0, "x");
  op.rank(x, "x", 3);
  const Shape& positions = op.i32(1, "positions");
  if (x[0] != kDimTokens || positions != Shape{x[0]})
    op.bad("positions {} do not match the rows of x {}", shape_text(positions), shape_text(x));
  const RopeSpec spec = rope_spec(node);
  if (spec.n_rot < 2 || spec.n_rot % 2 || spec.n_rot > x[2])
    op.bad("n_rot {} is not an even number in [2, {}], the last dimension of x {}", spec.n_rot, x[2], shape_text(x));
  check_scaling(op, spec);
  op.weight_is(2, "freq_factors", {spec.n_rot / 2});
  op.weight_is(3, "short_factors", {spec.n_rot / 2});
  op.weight_is(4, "long_factors", {spec.n_rot / 2});
  if (op.has(3) != op.has(4)) op.bad("one of short_factors and long_factors is absent");
  op.result(Elem::f32, x);
}

const OpDef kRope = {
    "tenon.rope/1",
    "x f32 [T, H, D]\n"
    "positions i32 [T]\n"
    "freq_factors weight [n_rot/2], may be absent: divisors of the frequencies\n"
    "short_factors weight [n_rot/2], long_factors weight [n_rot/2]: longrope's lists where they are no attributes\n"
    "-> f32 [T, H, D]: pairs of the first n_rot dims turned by position * inv_freq[j], cos and sin times magnitude\n"
    "layout string: neox (j, j + n_rot/2) or interleaved (2j, 2j + 1)\n"
    "n_rot int; base real = 10000; scaling string = none: none linear dynamic smooth yarn longrope\n"
    "factor real; original_ctx int; low_freq_factor, high_freq_factor real; beta_fast, beta_slow real\n"
    "truncate int = 1; magnitude real = 1; short_factors, long_factors reals [n_rot/2]\n"
    "long_magnitude real = magnitude: with longrope's long_factors",
    2,
    5,
    1,
    0,
    infer};

static void infer_position_scale(Graph& graph, Node& node) {
  OpCheck op(graph, node,
             {{"beta", AttrKind::real, Need::required},
              {"length", AttrKind::integer, Need::required},
              {"offset", AttrKind::integer}});
  const Shape x = op.f32(0, "x");
  const Shape& positions = op.i32(1, "positions");
  if (x[0] != kDimTokens || positions != Shape{x[0]})
    op.bad("positions {} do not match the rows of x {}", shape_text(positions), shape_text(x));
  const PositionScaleSpec spec = position_scale_spec(node);
  if (spec.length < 1) op.bad("length {} is below 1", spec.length);
  if (spec.offset < 0 || spec.offset > INT32_MAX) op.bad("offset {} is outside [0, 2^31)", spec.offset);
  op.result(Elem::f32, x);
}

const OpDef kPositionScale = {"tenon.position_scale/1",
                              "x f32 [T, ...]\n"
                              "positions i32 [T]\n"
                              "-> f32 [T, ...]: x * (1 + beta * ln(1 + floor((position + offset) / length)))\n"
                              "beta real; length int, above 0; offset int = 0",
                              2,
                              2,
                              1,
                              0,
                              infer_position_scale};

}  // namespace ops
}  // namespace tenon
