// gemma2: gemma with a norm before and behind each sublayer, scores and logits in soft caps, and every other layer
// looking back over a window only. Gemma 2 2B, 9B and 27B (Gemma team 2024).
// Written from transformers' modeling_gemma2.py; revision in tests/golden/gemma2/SOURCE.md.
// Not here: query and key norms, two thetas (gemma3).
#include <tenon/blocks/dims.hpp>
#include <tenon/blocks/layer_types.hpp>
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
        window(m.get_window({"sliding_window", "attention.sliding_window"})),
        eps(m.get_eps({"rms_norm_eps", "attention.layer_norm_rms_epsilon"}, 1e-6)),
        act(activation(m, "hidden_activation", "gelu_tanh")),
        score_cap(cap(m, {"attn_logit_softcapping", "attn_logit_softcapping"}, 50)),
        logit_cap(cap(m, {"final_logit_softcapping", "final_logit_softcapping"}, 30)),
        attention_bias(bias_flag(m, "attention_bias")),
        sliding(sliding_layers(m, n_layers, [](int64_t i) { return i % 2 == 0; })),
        rope(m, d_head) {
    // GGUF has no key for it: the width of a head, but for the 27B.
    const double per_head = m.is_gguf() ? static_cast<double>(n_layers == 46 ? d_model / n_heads : d_head) : 256;
    scale = 1 / std::sqrt(m.get_positive({"query_pre_attn_scalar"}, per_head));
    m.ignore({"hidden_act"}, "hidden_activation is the one");
    m.ignore({"cache_implementation"}, "how the reference keeps its cache");
    if (m.get_bool({"use_bidirectional_attention"}, false))
      throw Refusal("[config] use_bidirectional_attention is true; known is attention to earlier tokens");
  }
  /// 0: none, as null means in a config.json. GGUF files without the key have the published value.
  static double cap(const Meta& m, Key key, double published) {
    return m.has(key) ? m.get_positive(key, 0) : m.is_gguf() ? published : 0;
  }
  int64_t d_ff, window;
  double eps, scale = 1;
  std::string act;
  double score_cap, logit_cap;
  Bias attention_bias;
  std::vector<bool> sliding;
  Rope rope;
};

class Gemma2 final : public Decoder {
 public:
  explicit Gemma2(const Meta& m) : c_(m) {}

  void describe(Graph& g) const override {
    g.model(c_.model());
    const double width = static_cast<double>(c_.d_model);
    Tensor x = g.scale(g.embed(kEmbedding, c_.n_vocab, c_.d_model), std::sqrt(width));  // (T, E)
    for (int64_t i = 0; i < c_.n_layers; ++i) x = layer(g, i, x);
    x = norm(g, g.wanted_rows(x), {"model.norm", "output_norm"});
    x = g.linear(x, Weight("lm_head", "output").tied_to(kEmbedding.hf), c_.n_vocab);  // (R, V)
    g.logits(c_.logit_cap > 0 ? g.softcap(x, c_.logit_cap) : x);
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
    Tensor y = attend(g, i, w, norm(g, x, w("input_layernorm", "attn_norm")));
    x = x + norm(g, y, w("post_attention_layernorm", "post_attention_norm"));
    const GatedMlp mlp{w("mlp.gate_proj", "ffn_gate"), w("mlp.up_proj", "ffn_up"), w("mlp.down_proj", "ffn_down")};
    y = gated_mlp(norm(g, x, w("pre_feedforward_layernorm", "ffn_norm")), mlp, c_.d_ff, c_.act);
    return x + norm(g, y, w("post_feedforward_layernorm", "post_ffw_norm"));
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    const Bias b = c_.attention_bias;
    Tensor q = g.linear(x, w("self_attn.q_proj", "attn_q"), H * D, b);  // (T, H*D)
    Tensor k = g.linear(x, w("self_attn.k_proj", "attn_k"), G * D, b);  // (T, G*D)
    Tensor v = g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value, b);
    q = c_.rope(g.split_heads(q, H));  // (T, H, D)
    k = c_.rope(g.split_heads(k, G));
    const int64_t window = c_.sliding[static_cast<size_t>(i)] ? c_.window : 0;
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c_.d_value, .window = window});
    const Tensor y = g.attention(cache, q, k, g.split_heads(v, G), Graph::Scores{c_.scale, c_.score_cap});
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model, b);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("gemma2", "0.1.0",
             arch<Gemma2>({.hf = {"Gemma2ForCausalLM"}, .model_type = {"gemma2"}, .gguf = {"gemma2"}}));
