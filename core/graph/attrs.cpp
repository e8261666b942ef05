// Typed attributes of the simple ops, and the activations' reference definitions.
// Formulas: torch.nn.functional (gelu erf and tanh, softplus with its threshold of 20).
#include "graph/attrs.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "graph/catalogue.hpp"

namespace tenon {

std::string_view attr_kind_name(size_t variant_index) {
  static constexpr std::array<std::string_view, 5> kNames = {"an integer", "a real", "a string", "a list of integers",
                                                             "a list of reals"};
  return variant_index < kNames.size() ? kNames[variant_index] : "nothing";
}

std::optional<Activation> activation_from_name(std::string_view name) {
  static constexpr std::array<std::string_view, 12> kNames = {"identity", "silu",  "gelu_erf", "gelu_tanh",
                                                              "relu",     "relu2", "sigmoid",  "tanh",
                                                              "softplus", "exp",   "neg",      "sqrt"};
  for (size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<Activation>(i);
  return std::nullopt;
}

float apply_activation(Activation act, float value) {
  const double x = value;
  double y = x;
  switch (act) {
    case Activation::identity:
      break;
    case Activation::silu:
      y = x / (1 + std::exp(-x));
      break;
    case Activation::gelu_erf:
      y = 0.5 * x * (1 + std::erf(x * M_SQRT1_2));
      break;
    case Activation::gelu_tanh:
      y = 0.5 * x * (1 + std::tanh(M_SQRT2 * M_2_SQRTPI * 0.5 * (x + 0.044715 * x * x * x)));
      break;
    case Activation::relu:
      y = x > 0 ? x : 0;
      break;
    case Activation::relu2:
      y = x > 0 ? x * x : 0;
      break;
    case Activation::sigmoid:
      y = 1 / (1 + std::exp(-x));
      break;
    case Activation::tanh:
      y = std::tanh(x);
      break;
    case Activation::softplus:
      y = x > 20 ? x : std::log1p(std::exp(x));
      break;
    case Activation::exp:
      y = std::exp(x);
      break;
    case Activation::neg:
      y = -x;
      break;
    case Activation::sqrt:
      y = std::sqrt(x);
      break;
  }
  return static_cast<float>(y);
}

float norm_eps(const Node& node) { return static_cast<float>(attr_or<double>(node, "eps", 0)); }

int64_t norm_groups(const Node& node) { return attr_or<int64_t>(node, "groups", 1); }

Activation node_activation(const Node& node) {
  const std::string name = attr_or<std::string>(node, "act", "");
  const std::optional<Activation> act = activation_from_name(name);
  if (!act)
    fail(ErrorCode::bad_plugin,
         "[{}] unknown act \"{}\"; known: identity silu gelu_erf gelu_tanh relu relu2 sigmoid tanh softplus exp neg "
         "sqrt, at {}",
         node.op, name, location_text(node.at));
  return *act;
}

GluSpec glu_spec(const Node& node) {
  GluSpec spec;
  spec.alpha = static_cast<float>(attr_or<double>(node, "alpha", 1.702));
  spec.limit = static_cast<float>(attr_or<double>(node, "limit", 7));
  spec.clamped = attr_or<std::string>(node, "act", "") == "swiglu_oai";
  if (!spec.clamped) spec.act = node_activation(node);
  return spec;
}

float apply_glu(const GluSpec& glu, float gate, float up) {
  if (!glu.clamped) return apply_activation(glu.act, gate) * up;
  const double g = std::min(gate, glu.limit), u = std::clamp(up, -glu.limit, glu.limit);
  return static_cast<float>(g / (1 + std::exp(-static_cast<double>(glu.alpha) * g)) * (u + 1));
}

ScaleShift scale_shift(const Node& node) {
  return {static_cast<float>(attr_or<double>(node, "scale", 1)), static_cast<float>(attr_or<double>(node, "shift", 0))};
}

Broadcast broadcast(const Graph& graph, const Node& node) {
  const Shape &a = graph.value(node.inputs[0]).shape, &b = graph.value(node.inputs[1]).shape;
  Broadcast spec;
  spec.one_value = b.back() != a.back();
  if (b.size() == a.size()) return spec;
  spec.rows = 1;
  for (size_t i = 0; i + 1 < b.size(); ++i) spec.rows *= b[i];
  return spec;
}

float softcap(const Node& node) { return static_cast<float>(attr_or<double>(node, "cap", 1)); }

ClampSpec clamp_spec(const Node& node) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return {static_cast<float>(attr_or<double>(node, "lo", -kInfinity)),
          static_cast<float>(attr_or<double>(node, "hi", kInfinity))};
}

PositionScaleSpec position_scale_spec(const Node& node) {
  return {attr_or<double>(node, "beta", 0), attr_or<int64_t>(node, "length", 1), attr_or<int64_t>(node, "offset", 0)};
}

float PositionScaleSpec::at(int32_t position) const {
  const auto periods = static_cast<double>((position + offset) / length);
  return static_cast<float>(1 + beta * std::log(1 + periods));
}

SliceSpec slice_spec(const Node& node) {
  return {attr_or<int64_t>(node, "start", 0), attr_or<int64_t>(node, "length", 0)};
}

AttentionSpec attention_spec(const Graph& graph, const Node& node) {
  AttentionSpec spec;
  spec.scale = static_cast<float>(attr_or<double>(node, "scale", 1));
  spec.softcap = static_cast<float>(attr_or<double>(node, "softcap", 0));
  if (!node.states.empty()) spec.window = graph.state(node.states[0]).window;
  for (double slope : attr_or<std::vector<double>>(node, "alibi", {})) spec.alibi.push_back(static_cast<float>(slope));
  return spec;
}

MlaSpec mla_spec(const Graph& graph, const Node& node) {
  const Shape &nope = graph.value(node.inputs[0]).shape, &v_b = graph.value(node.inputs[5]).shape;
  MlaSpec spec;
  spec.heads = nope[1], spec.nope = nope[2], spec.rotary = graph.value(node.inputs[1]).shape[2];
  spec.value = v_b[1], spec.latent = v_b[2];
  spec.scale = static_cast<float>(attr_or<double>(node, "scale", 1));
  spec.k_b_transposed = attr_or<int64_t>(node, "k_b_transposed", 0) != 0;
  return spec;
}

static float rounded_to_bf16(float f) {
  const auto bits = __builtin_bit_cast(uint32_t, f);
  return __builtin_bit_cast(float, (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000);
}

float alibi_bias(float slope, int64_t position) {
  return rounded_to_bf16(rounded_to_bf16(slope) * rounded_to_bf16(static_cast<float>(position)));
}

EncoderAttentionSpec encoder_attention_spec(const Node& node) {
  return {static_cast<float>(attr_or<double>(node, "scale", 1)),
          static_cast<float>(attr_or<double>(node, "softcap", 0)), attr_or<int64_t>(node, "radius", -1)};
}

PoolMode pool_mode(const Node& node) {
  const std::string mode = attr_or<std::string>(node, "mode", "");
  if (mode == "mean") return PoolMode::mean;
  if (mode == "first") return PoolMode::first;
  if (mode == "last") return PoolMode::last;
  fail(ErrorCode::bad_plugin, "[{}] unknown mode \"{}\"; known: mean first last, at {}", node.op, mode,
       location_text(node.at));
}

bool needs_whole_sequences(const Graph& graph) {
  return std::ranges::any_of(graph.nodes, [](const Node& node) {
    return node.op == "tenon.encoder_attention/1" || node.op == "tenon.pool/1";
  });
}

float delta_scale(const Node& node) { return static_cast<float>(attr_or<double>(node, "scale", 1)); }

RouteSpec route_spec(const Node& node) {
  RouteSpec spec;
  spec.k = attr_or<int64_t>(node, "k", 1);
  const std::string score = attr_or<std::string>(node, "score", "softmax");
  if (score == "softmax")
    spec.score = RouteScore::softmax;
  else if (score == "sigmoid")
    spec.score = RouteScore::sigmoid;
  else if (score == "softmax_selected")
    spec.score = RouteScore::softmax_selected;
  else
    fail(ErrorCode::bad_plugin, "[{}] unknown score \"{}\"; known: softmax sigmoid softmax_selected, at {}", node.op,
         score, location_text(node.at));
  spec.n_group = attr_or<int64_t>(node, "n_group", 1);
  spec.topk_group = attr_or<int64_t>(node, "topk_group", spec.n_group);
  const std::string rank = attr_or<std::string>(node, "group_rank", "max");
  if (rank != "max" && rank != "top2_sum")
    fail(ErrorCode::bad_plugin, "[{}] unknown group_rank \"{}\"; known: max top2_sum, at {}", node.op, rank,
         location_text(node.at));
  spec.group_rank = rank == "max" ? GroupRank::max : GroupRank::top2_sum;
  spec.renormalise = attr_or<int64_t>(node, "renormalise", 0) != 0;
  spec.scale = static_cast<float>(attr_or<double>(node, "scale", 1));
  return spec;
}

MixerSpec mixer_spec(const Node& node) {
  return {attr_or<int64_t>(node, "k", 1), static_cast<float>(attr_or<double>(node, "jitter", 0))};
}

}  // namespace tenon
