// The op catalogue: for each op its contract and shape inference. One source file per op under graph/ops/.
// Backends and passes read attributes through the typed specs here, which are validated at inference, never raw.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "graph/ir.hpp"

namespace tenon {

struct OpDef {
  std::string_view id;
  std::string_view contract;  // one line per operand, result and attribute, with shapes; printed by docs and errors
  int min_inputs, max_inputs;
  int n_outputs;  // -1: as many as the attributes say
  int n_states;
  /// Checks operands and attributes of `node` and appends the results' values to the graph, filling node.outputs.
  /// Throws Error{bad_plugin, "[tenon.op/1] ... at file:line"}.
  void (*infer)(Graph& graph, Node& node);
};

/// nullptr for an op that the catalogue lacks.
const OpDef* find_op(std::string_view id);
std::span<const OpDef> all_ops();

/// Infers and appends a node; the only way nodes come to be. Unknown op, wrong counts or shapes: Error{bad_plugin}.
/// Returns the index of the new node.
size_t append_node(Graph& graph, Node node);

/// Whole-graph checks after a description: outputs present, every value defined before use, caps on counts.
void validate(const Graph& graph);

// ---- typed attributes -------------------------------------------------------------------------------------------

enum class Activation : uint8_t {
  identity,
  silu,
  gelu_erf,
  gelu_tanh,
  relu,
  relu2,
  sigmoid,
  tanh,
  softplus,
  exp,
  neg,
  sqrt
};
std::optional<Activation> activation_from_name(std::string_view name);
float apply_activation(Activation act, float x);  // the reference definition

/// tenon.rms_norm/1, tenon.layer_norm/1, tenon.l2_norm/1
float norm_eps(const Node& node);
/// tenon.rms_norm/1, tenon.layer_norm/1: runs of the last axis with statistics of their own
int64_t norm_groups(const Node& node);
/// tenon.unary/1, tenon.causal_conv1d/1: attribute "act"
Activation node_activation(const Node& node);
/// tenon.glu/1, tenon.moe_ffn/1, host.linear_glu: how gate and up are joined; "act" with its "alpha" and "limit"
struct GluSpec {
  Activation act = Activation::silu;
  bool clamped = false;  // "swiglu_oai"; act is then not looked at
  float alpha = 1.702f, limit = 7;
};
GluSpec glu_spec(const Node& node);
float apply_glu(const GluSpec& glu, float gate, float up);  // the reference definition
/// tenon.embed/1 "scale" (default 1); tenon.scale_shift/1 "scale", "shift"
struct ScaleShift {
  float scale = 1, shift = 0;
};
ScaleShift scale_shift(const Node& node);
/// tenon.add/1, tenon.sub/1, tenon.mul/1: row r of a (all axes but the last together) meets row r of b, or row r %
/// rows.
struct Broadcast {
  int64_t rows = 0;        // of b; 0: as many as a has
  bool one_value = false;  // a row of b is one value
};
Broadcast broadcast(const Graph& graph, const Node& node);
/// tenon.softcap/1: attribute "cap"
float softcap(const Node& node);
/// tenon.clamp/1: attributes "lo" and "hi", infinite where absent
struct ClampSpec {
  float lo, hi;
};
ClampSpec clamp_spec(const Node& node);
/// tenon.position_scale/1
struct PositionScaleSpec {
  double beta = 0;
  int64_t length = 1, offset = 0;
  float at(int32_t position) const;
};
PositionScaleSpec position_scale_spec(const Node& node);
/// tenon.slice/1: elements [start, start + length) of the last axis
struct SliceSpec {
  int64_t start = 0, length = 0;
};
SliceSpec slice_spec(const Node& node);

/// tenon.rope/1. Angle of pair j = position * inv_freq[j]; cos and sin are multiplied by `magnitude`.
enum class RopeLayout : uint8_t { neox, interleaved };
enum class RopeScaling : uint8_t { none, linear, dynamic, smooth, yarn, longrope };
struct RopeSpec {
  RopeLayout layout = RopeLayout::neox;
  RopeScaling scaling = RopeScaling::none;
  int64_t n_rot = 0;  // rotary dims, even, from the head's start
  double base = 10000;
  double factor = 1;
  int64_t original_ctx = 0;                          // trained length before scaling
  double low_freq_factor = 1, high_freq_factor = 4;  // smooth
  double beta_fast = 32, beta_slow = 1;              // yarn
  bool truncate = true;                              // yarn: floor and ceil of the correction dims
  double magnitude = 1;                              // of cos and sin; already resolved by the plugin
  double long_magnitude = 1;                         // the same where longrope's long factors are
  std::vector<double> short_factors, long_factors;   // longrope, n_rot/2 each
};
RopeSpec rope_spec(const Node& node);
/// The lists that tenon.rope/1 takes as operands instead of attributes: operands 3 and 4, values by their ids.
struct RopeFactorLists {
  ValueId short_factors = 0, long_factors = 0;
};
RopeFactorLists rope_factor_lists(const Node& node);
/// n_rot/2 inverse frequencies (float64 maths, formulas of transformers' modeling_rope_utils) for a sequence planned to
/// reach `planned_len` tokens; only dynamic and longrope depend on it. `freq_factors`: empty, or n_rot/2 divisors.
std::vector<float> rope_inv_freq(const RopeSpec& spec, std::span<const float> freq_factors, int64_t planned_len);
/// True when the frequencies depend on a sequence's planned length.
bool rope_depends_on_length(const RopeSpec& spec);
/// Planned lengths of the same choice have the same frequencies.
double rope_choice(const RopeSpec& spec, int64_t planned_len);

/// What cos and sin are multiplied by.
double rope_magnitude(const RopeSpec& spec, int64_t planned_len);

/// tenon.attention/1
struct AttentionSpec {
  float scale = 1;
  float softcap = 0;         // 0: none
  int64_t window = 0;        // of its state
  std::vector<float> alibi;  // by query head, or empty
};
AttentionSpec attention_spec(const Graph& graph, const Node& node);
/// What an alibi slope adds to q.k for a key at `position`: a product of bfloat16, as the published models were
/// trained.
float alibi_bias(float slope, int64_t position);

/// tenon.encoder_attention/1
struct EncoderAttentionSpec {
  float scale = 1;
  float softcap = 0;    // 0: none
  int64_t radius = -1;  // -1: every key of the sequence
};
EncoderAttentionSpec encoder_attention_spec(const Node& node);

/// tenon.pool/1
enum class PoolMode : uint8_t { mean, first, last };
PoolMode pool_mode(const Node& node);

/// True when a sequence's rows must come in one step, as some of them look ahead.
bool needs_whole_sequences(const Graph& graph);

/// tenon.gated_delta_rule/1: attribute "scale"
float delta_scale(const Node& node);

/// tenon.mla_attention/1; the widths are those of its operands.
struct MlaSpec {
  int64_t heads = 0, nope = 0, rotary = 0, latent = 0, value = 0;
  float scale = 1;
  bool k_b_transposed = false;
};
MlaSpec mla_spec(const Graph& graph, const Node& node);

/// tenon.moe_route/1
enum class RouteScore : uint8_t { softmax, sigmoid, softmax_selected };
enum class GroupRank : uint8_t { max, top2_sum };
struct RouteSpec {
  int64_t k = 1;
  RouteScore score = RouteScore::softmax;
  int64_t n_group = 1, topk_group = 1;  // experts stand in equal groups, the best of which stay in the choice
  GroupRank group_rank = GroupRank::max;
  bool renormalise = false;  // weights divided by their sum (+1e-20)
  float scale = 1;
};
RouteSpec route_spec(const Node& node);

/// tenon.sparse_mixer/1
struct MixerSpec {
  int64_t k = 1;
  float jitter = 0;
};
MixerSpec mixer_spec(const Node& node);

}  // namespace tenon
