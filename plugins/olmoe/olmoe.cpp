// olmoe: llama's wiring with many small experts in each layer, and RMSNorm over all query heads together and all key
// heads together (Muennighoff et al. 2024). OLMoE-1B-7B. Written from transformers' modeling_olmoe.py; revision in
// tests/golden/olmoe/SOURCE.md. Not here: norms behind the sublayers (olmo2).
#include <tenon/blocks/dims.hpp>
#include <tenon/blocks/expert_stacks.hpp>
#include <tenon/blocks/rope.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

const Names kEmbedding = {"model.embed_tokens", "token_embd"};

struct Config : Dims {  // quoted words are config.json's own and GGUF's own
  explicit Config(const Meta& m)
      : Dims(m, kEmbedding),
        n_experts(expert_count(m, {"num_experts", "expert_count"})),
        n_used(experts_used(m, {"num_experts_per_tok", "expert_used_count"}, n_experts)),
        d_expert(m.get_count({nullptr, "expert_feed_forward_length"},
                             m.need_int({"intermediate_size", "feed_forward_length"}))),
        clip(m.get_real({"clip_qkv", "attention.clamp_kqv"}, 0)),
        eps(m.need_eps({"rms_norm_eps", "attention.layer_norm_rms_epsilon"})),
        act(activation(m, "hidden_act", "silu")),
        attention_bias(bias_flag(m, "attention_bias")),
        rope(m, d_head),
        routing{.k = n_used,
                .renormalise = m.get_bool({"norm_topk_prob", "expert_weights_norm"}, false),
                .scale = m.get_real({nullptr, "expert_weights_scale"}, 1)},
        stacks(m, n_layers, {n_experts, d_model, d_expert},
               {"mlp.experts.{e}.gate_proj", "mlp.experts.{e}.up_proj", "mlp.experts.{e}.down_proj"}) {
    if (clip != 0) m.in_range({"clip_qkv", "attention.clamp_kqv"}, clip, 0, HUGE_VAL);
    for (const char* key : {"router_aux_loss_coef", "output_router_logits"}) m.ignore({key}, "training only");
  }
  int64_t n_experts, n_used, d_expert;
  double clip, eps;  // clip 0: no bound
  std::string act;
  Bias attention_bias;
  Rope rope;
  Routing routing;
  ExpertStacks stacks;
};

class Olmoe final : public Decoder {
 public:
  explicit Olmoe(const Meta& m) : c_(m) {}

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
    return x + experts(g, w, g.rms_norm(x, w("post_attention_layernorm", "ffn_norm"), c_.eps));
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    const Bias b = c_.attention_bias;
    const auto clipped = [&](Tensor y) { return c_.clip != 0 ? g.clamp(y, -c_.clip, c_.clip) : y; };
    Tensor q = g.linear(x, w("self_attn.q_proj", "attn_q"), H * D, b);  // (T, H*D)
    Tensor k = g.linear(x, w("self_attn.k_proj", "attn_k"), G * D, b);  // (T, G*D)
    Tensor v = clipped(g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value, b));
    q = clipped(g.rms_norm(q, w("self_attn.q_norm", "attn_q_norm"), c_.eps));
    k = clipped(g.rms_norm(k, w("self_attn.k_norm", "attn_k_norm"), c_.eps));
    q = c_.rope(g.split_heads(q, H));  // (T, H, D)
    k = c_.rope(g.split_heads(k, G));
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c_.d_value});
    const Tensor y = g.attention(cache, q, k, g.split_heads(v, G), 1 / std::sqrt(static_cast<double>(D)));
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model, b);
  }

  Tensor experts(Graph& g, const Scope& w, Tensor x) const {
    const Tensor scores = g.linear(x, w("mlp.gate", "ffn_gate_inp"), c_.n_experts);  // (T, X)
    return moe_ffn(x, moe_route(scores, c_.routing), c_.stacks(w), c_.n_experts, c_.d_expert, c_.act);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("olmoe", "0.1.0", arch<Olmoe>({.hf = {"OlmoeForCausalLM"}, .model_type = {"olmoe"}, .gguf = {"olmoe"}}));
