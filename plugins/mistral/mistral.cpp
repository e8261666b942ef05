// mistral: llama's wiring with attention over a sliding window, and heads whose width is the config's own (Jiang et al.
// 2023). Mistral 7B, Nemo, Small and Large, the text model inside Mistral 3, and Ministral 3, whose queries grow with
// their position.
// Written from transformers' modeling_mistral.py and modeling_ministral3.py; revision in
// tests/golden/mistral/SOURCE.md. Not here: experts (mixtral), images. GGUF files of Mistral models before Ministral 3
// call themselves "llama".
#include <tenon/blocks/dims.hpp>
#include <tenon/blocks/mlp.hpp>
#include <tenon/blocks/position_scale.hpp>
#include <tenon/blocks/rope.hpp>
#include <tenon/blocks/text_part.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

struct Config : Dims {  // quoted words are config.json's own and GGUF's own
  Config(const Meta& m, const Names& embedding)
      : Dims(m, embedding, m.get_text({"model_type"}, "") == "ministral3" ? 128 : 0),
        d_ff(m.need_int({"intermediate_size", "feed_forward_length"})),
        window(m.get_window({"sliding_window", "attention.sliding_window"})),
        eps(m.need_eps({"rms_norm_eps", "attention.layer_norm_rms_epsilon"})),
        act(activation(m, "hidden_act", "silu")),
        rope(m, d_head) {
    const Key beta = {"rope_parameters.llama_4_scaling_beta", "attention.temperature_scale"};
    growth.beta = m.get_real(beta, m.get_real({"rope_scaling.llama_4_scaling_beta"}, 0));
    growth.length = m.get_count({nullptr, "attention.temperature_length"}, rope.original_ctx());
    // GGUF keeps mscale_all_dim alone; mscale is 1.
    if (const double all_dim = m.get_real({nullptr, "rope.scaling.yarn_log_multiplier"}, 0); all_dim != 0)
      rope = rope.with_magnitude(yarn_temperature(rope.factor(), 1) / yarn_temperature(rope.factor(), all_dim));
  }
  int64_t d_ff, window;
  double eps;
  std::string act;
  Rope rope;
  PositionScale growth{};
};

class Mistral final : public Decoder {
 public:
  explicit Mistral(const Meta& m)
      : names_(text_names(m)), embedding_{names_.body + "embed_tokens", "token_embd"}, c_(text_part(m), embedding_) {}

  /// The wrapper stands for latent attention (mistral4) too; that one is not described here.
  static int match(const Meta& m) {
    const std::string inner = m.get_text({"text_config.model_type"}, "mistral");
    return inner == "mistral" || inner == "ministral3" ? 50 : 0;
  }

  void describe(Graph& g) const override {
    g.model(c_.model());
    ignore_other_modalities(g);
    Tensor x = g.embed(embedding_, c_.n_vocab, c_.d_model);  // (T, E)
    for (int64_t i = 0; i < c_.n_layers; ++i) x = layer(g, i, x);
    x = g.rms_norm(g.wanted_rows(x), Names{names_.body + "norm", "output_norm"}, c_.eps);
    g.logits(g.linear(x, Weight(Names{names_.head, "output"}).tied_to(embedding_.hf), c_.n_vocab));  // (R, V)
  }

 private:
  Tensor layer(Graph& g, int64_t i, Tensor x) const {
    g.layer(i);
    const std::string n = std::to_string(i);
    const Scope w{names_.body + "layers." + n + ".", "blk." + n + "."};
    x = x + attend(g, i, w, g.rms_norm(x, w("input_layernorm", "attn_norm"), c_.eps));
    const GatedMlp mlp{w("mlp.gate_proj", "ffn_gate"), w("mlp.up_proj", "ffn_up"), w("mlp.down_proj", "ffn_down")};
    return x + gated_mlp(g.rms_norm(x, w("post_attention_layernorm", "ffn_norm"), c_.eps), mlp, c_.d_ff, c_.act);
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    Tensor q = g.linear(x, Weight(w("self_attn.q_proj", "attn_q")).rope_rows(H), H * D);  // (T, H*D)
    Tensor k = g.linear(x, Weight(w("self_attn.k_proj", "attn_k")).rope_rows(G), G * D);  // (T, G*D)
    Tensor v = g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value);
    q = c_.rope(g.split_heads(q, H));  // (T, H, D)
    k = c_.rope(g.split_heads(k, G));
    if (c_.growth.beta != 0) q = position_scale(q, c_.growth);
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c_.d_value, .window = c_.window});
    const Tensor y = g.attention(cache, q, k, g.split_heads(v, G), 1 / std::sqrt(static_cast<double>(D)));
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model);
  }

  TextNames names_;
  Names embedding_;
  Config c_;
};
}  // namespace

TENON_PLUGIN("mistral", "0.1.0",
             arch<Mistral>({.hf = {"MistralForCausalLM", "Ministral3ForCausalLM", "Mistral3ForConditionalGeneration"},
                            .model_type = {"mistral", "ministral3", "mistral3"},
                            .gguf = {"mistral3"}}));
