// gpt_oss: attention with sinks, over a window in every other layer, and in each layer experts with biases around a
// clamped gated unit, of 4-bit floats (OpenAI 2025). gpt-oss-20b and 120b. Written from transformers'
// modeling_gpt_oss.py; revision in tests/golden/gpt_oss/SOURCE.md.
#include <tenon/blocks/dims.hpp>
#include <tenon/blocks/expert_stacks.hpp>
#include <tenon/blocks/layer_types.hpp>
#include <tenon/blocks/rope.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

const Names kEmbedding = {"model.embed_tokens", "token_embd"};

struct Config : Dims {  // quoted words are config.json's own and GGUF's own
  explicit Config(const Meta& m)
      : Dims(m, kEmbedding, 64),
        n_experts(expert_count(m, {m.has({"num_experts"}) ? "num_experts" : "num_local_experts", "expert_count"})),
        n_used(experts_used(
            m, {m.has({"experts_per_token"}) ? "experts_per_token" : "num_experts_per_tok", "expert_used_count"},
            n_experts)),
        d_expert(m.get_count({nullptr, "expert_feed_forward_length"},
                             m.need_int({"intermediate_size", "feed_forward_length"}))),
        window(m.get_window({"sliding_window", "attention.sliding_window"})),
        eps(m.need_eps({"rms_norm_eps", "attention.layer_norm_rms_epsilon"})),
        alpha(m.get_real({"swiglu_alpha"}, 1.702)),
        limit(m.get_positive({"swiglu_limit"}, 7)),
        attention_bias(m.is_gguf() ? Bias::required : bias_flag(m, "attention_bias", true)),
        rope(m, d_head, 150000),
        sliding(sliding_layers(m, n_layers, [](int64_t i) { return i % 2 == 0; })) {
    if (m.is_gguf()) rope = rope.untruncated();
    for (const char* key : {"router_aux_loss_coef", "output_router_logits"}) m.ignore({key}, "training only");
    for (const char* key : {"initial_context_length", "hidden_act"}) m.ignore({key}, "the reference does not read it");
    m.ignore({"quantization_config*"}, "seen from the experts' tensors");
  }
  int64_t n_experts, n_used, d_expert, window;
  double eps, alpha, limit;
  Bias attention_bias;
  Rope rope;
  std::vector<bool> sliding;
};

class GptOss final : public Decoder {
 public:
  explicit GptOss(const Meta& m) : c_(m) {}

  void describe(Graph& g) const override {
    g.model(c_.model());
    Tensor x = g.embed(kEmbedding, c_.n_vocab, c_.d_model);  // (T, E)
    for (int64_t i = 0; i < c_.n_layers; ++i) x = layer(g, i, x);
    x = g.rms_norm(g.wanted_rows(x), {"model.norm", "output_norm"}, c_.eps);
    g.logits(g.linear(x, Weight("lm_head", "output").tied_to(kEmbedding.hf), c_.n_vocab));  // (R, V)
  }

 private:
  Tensor layer(Graph& g, int64_t i, Tensor x) const {
    g.layer(i);
    const std::string n = std::to_string(i);
    const Scope w{"model.layers." + n + ".", "blk." + n + "."};
    x = x + attend(g, i, w, g.rms_norm(x, w("input_layernorm", "attn_norm"), c_.eps));
    return x + experts(g, w, g.rms_norm(x, w("post_attention_layernorm", "post_attention_norm"), c_.eps));
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    const Bias b = c_.attention_bias;
    Tensor q = g.linear(x, w("self_attn.q_proj", "attn_q"), H * D, b);  // (T, H*D)
    Tensor k = g.linear(x, w("self_attn.k_proj", "attn_k"), G * D, b);  // (T, G*D)
    Tensor v = g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value, b);
    q = c_.rope(g.split_heads(q, H));  // (T, H, D)
    k = c_.rope(g.split_heads(k, G));
    const Tensor sinks = g.operand(Weight(w("self_attn.sinks", "attn_sinks.weight")).whole_name(), "", {H});
    const int64_t window = c_.sliding[static_cast<size_t>(i)] ? c_.window : 0;
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c_.d_value, .window = window});
    const Graph::Scores scores{.scale = 1 / std::sqrt(static_cast<double>(D)), .sinks = sinks};
    const Tensor y = g.attention(cache, q, k, g.split_heads(v, G), scores);
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model, b);
  }

  Tensor experts(Graph& g, const Scope& w, Tensor x) const {
    const Tensor scores = g.linear(x, w("mlp.router", "ffn_gate_inp"), c_.n_experts, Bias::required);  // (T, X)
    const Route route = moe_route(scores, {.k = c_.n_used, .score = "softmax_selected"});
    const ExpertWeights biases = {half_bias(w, "gate", 0), half_bias(w, "up", 1),
                                  Weight(w("mlp.experts.down_proj_bias", "ffn_down_exps.bias")).whole_name()};
    return moe_ffn(x, route, {half(w, "gate", 0), half(w, "up", 1), down(w)}, biases, c_.n_experts, c_.d_expert,
                   {{"act", std::string("swiglu_oai")}, {"alpha", c_.alpha}, {"limit", c_.limit}});
  }

  /// Gate rows are the even ones of a stack, up rows the odd ones; GGUF files have them apart. Stacks of plain floats
  /// have rows for columns.
  Weight half(const Scope& w, const std::string& part, int64_t first) const {
    const tn_xform columns = {TN_X_SLICE, 2, {first, c_.d_expert, 0, 2}, 0};
    const tn_xform rows = {TN_X_SLICE, 1, {first, c_.d_expert, 0, 2}, 0};
    const std::string stack = "mlp.experts.gate_up_proj";
    return Weight(w("", "ffn_" + part + "_exps.weight"))
        .whole_name()
        .or_named(w(stack, ""))
        .hf_step(columns)
        .hf_step(kSwap)
        .or_mxfp4(w(stack + "_blocks", ""), w(stack + "_scales", ""))
        .hf_step(rows);
  }
  Weight half_bias(const Scope& w, const std::string& part, int64_t first) const {
    return Weight(w("", "ffn_" + part + "_exps.bias"))
        .whole_name()
        .or_named(w("mlp.experts.gate_up_proj_bias", ""))
        .hf_step({TN_X_SLICE, 1, {first, c_.d_expert, 0, 2}, 0});
  }
  static Weight down(const Scope& w) {
    const std::string stack = "mlp.experts.down_proj";
    return Weight(w(stack, "ffn_down_exps.weight"))
        .whole_name()
        .hf_step(kSwap)
        .or_mxfp4(w(stack + "_blocks", ""), w(stack + "_scales", ""));
  }

  static constexpr tn_xform kSwap = {TN_X_TRANSPOSE, 0, {1, 2}, 0};
  Config c_;
};
}  // namespace

TENON_PLUGIN("gpt_oss", "0.1.0",
             arch<GptOss>({.hf = {"GptOssForCausalLM"}, .model_type = {"gpt_oss"}, .gguf = {"gpt-oss", "gptoss"}}));
