// gemma: RMSNorm whose stored weights lack 1, GeGLU, a scaled embedding that is also the head, few key heads of a width
// of their own. Gemma 2B and 7B, CodeGemma (Gemma team 2024).
// Written from transformers' modeling_gemma.py; revision in tests/golden/gemma/SOURCE.md.
// Not here: norms behind the sublayers and soft caps (gemma2), query and key norms (gemma3).
#include <tenon/blocks/dims.hpp>
#include <tenon/blocks/mlp.hpp>
#include <tenon/blocks/rope.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

const Names kEmbedding = {"model.embed_tokens", "token_embd"};

struct Config : Dims {  // quoted words are config.json's own and GGUF's own
  explicit Config(const Meta& m)
      : Dims(m, kEmbedding, 256),
        d_ff(m.need_int({"intermediate_size", "feed_forward_length"})),
        eps(m.get_eps({"rms_norm_eps", "attention.layer_norm_rms_epsilon"}, 1e-6)),
        act(activation(m, "hidden_activation", activation(m, "hidden_act", "gelu_tanh"))),
        attention_bias(bias_flag(m, "attention_bias")),
        rope(m, d_head) {
    if (act == "gelu_erf") act = "gelu_tanh";  // the first files say "gelu" and mean the other
    if (m.get_bool({"use_bidirectional_attention"}, false))
      throw Refusal("[config] use_bidirectional_attention is true; known is attention to earlier tokens");
  }
  int64_t d_ff;
  double eps;
  std::string act;
  Bias attention_bias;
  Rope rope;
};

class Gemma final : public Decoder {
 public:
  explicit Gemma(const Meta& m) : c_(m) {}

  void describe(Graph& g) const override {
    g.model(c_.model());
    g.ignore_tensors({"model.layers.*.self_attn.rotary_emb.inv_freq", ""}, "computed from rope_theta");
    const double width = static_cast<double>(c_.d_model);
    Tensor x = g.scale(g.embed(kEmbedding, c_.n_vocab, c_.d_model), std::sqrt(width));  // (T, E)
    for (int64_t i = 0; i < c_.n_layers; ++i) x = layer(g, i, x);
    x = norm(g, g.wanted_rows(x), {"model.norm", "output_norm"});
    g.logits(g.linear(x, Weight("lm_head", "output").tied_to(kEmbedding.hf), c_.n_vocab));  // (R, V)
  }

 private:
  /// x * rsqrt(mean(x^2) + eps) * (1 + w); GGUF files hold 1 + w.
  Tensor norm(Graph& g, Tensor x, const Names& w) const {
    return g.rms_norm(x, Weight(w).hf_step(TN_X_ADD, 1), c_.eps);
  }

  Tensor layer(Graph& g, int64_t i, Tensor x) const {
    g.layer(i);
    const std::string n = std::to_string(i);
    const Scope w{"model.layers." + n + ".", "blk." + n + "."};
    x = x + attend(g, i, w, norm(g, x, w("input_layernorm", "attn_norm")));
    const GatedMlp mlp{w("mlp.gate_proj", "ffn_gate"), w("mlp.up_proj", "ffn_up"), w("mlp.down_proj", "ffn_down")};
    return x + gated_mlp(norm(g, x, w("post_attention_layernorm", "ffn_norm")), mlp, c_.d_ff, c_.act);
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    const Bias b = c_.attention_bias;
    Tensor q = g.linear(x, w("self_attn.q_proj", "attn_q"), H * D, b);  // (T, H*D)
    Tensor k = g.linear(x, w("self_attn.k_proj", "attn_k"), G * D, b);  // (T, G*D)
    Tensor v = g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value, b);
    q = c_.rope(g.split_heads(q, H));  // (T, H, D)
    k = c_.rope(g.split_heads(k, G));
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c_.d_value});
    const Tensor y = g.attention(cache, q, k, g.split_heads(v, G), 1 / std::sqrt(static_cast<double>(D)));
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model, b);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("gemma", "0.1.0", arch<Gemma>({.hf = {"GemmaForCausalLM"}, .model_type = {"gemma"}, .gguf = {"gemma"}}));
