// olmo2: norms behind each sublayer instead of before it, and RMSNorm over all query heads together and all key heads
// together (OLMo team 2025). OLMo 3 adds a sliding window on three of four layers, whose rope is never scaled.
// Written from transformers' modeling_olmo2.py and modeling_olmo3.py; revision in tests/golden/olmo2/SOURCE.md.
// Not here: OLMo 1 (olmo), experts (olmoe). GGUF calls both generations "olmo2".
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
      : Dims(m, kEmbedding),
        d_ff(m.need_int({"intermediate_size", "feed_forward_length"})),
        window(m.get_window({"sliding_window", "attention.sliding_window"})),
        eps(m.need_eps({"rms_norm_eps", "attention.layer_norm_rms_epsilon"})),
        act(activation(m, "hidden_act", "silu")),
        attention_bias(bias_flag(m, "attention_bias")),
        sliding(sliding_layers(m, n_layers, [&](int64_t i) { return window > 0 && (i + 1) % 4 != 0; })),
        rope(Rope::of_layers(m, d_head, "full_attention", window ? 5e5 : 1e4)),
        sliding_rope(Rope::unscaled(m, d_head, "sliding_attention", {nullptr, "rope.freq_base_swa"}, rope.theta())) {}
  int64_t d_ff, window;
  double eps;
  std::string act;
  Bias attention_bias;
  std::vector<bool> sliding;
  Rope rope, sliding_rope;
};

class Olmo2 final : public Decoder {
 public:
  explicit Olmo2(const Meta& m) : c_(m) {}

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
    x = x + g.rms_norm(attend(g, i, w, x), w("post_attention_layernorm", "post_attention_norm"), c_.eps);
    const GatedMlp mlp{w("mlp.gate_proj", "ffn_gate"), w("mlp.up_proj", "ffn_up"), w("mlp.down_proj", "ffn_down")};
    const Tensor y = gated_mlp(x, mlp, c_.d_ff, c_.act);
    return x + g.rms_norm(y, w("post_feedforward_layernorm", "post_ffw_norm"), c_.eps);
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    const Bias b = c_.attention_bias;
    const bool slides = c_.sliding[static_cast<size_t>(i)];
    const Rope& rope = slides ? c_.sliding_rope : c_.rope;
    Tensor q = g.linear(x, w("self_attn.q_proj", "attn_q"), H * D, b);  // (T, H*D)
    Tensor k = g.linear(x, w("self_attn.k_proj", "attn_k"), G * D, b);  // (T, G*D)
    Tensor v = g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value, b);
    q = g.rms_norm(q, w("self_attn.q_norm", "attn_q_norm"), c_.eps);
    k = g.rms_norm(k, w("self_attn.k_norm", "attn_k_norm"), c_.eps);
    q = rope(g.split_heads(q, H));  // (T, H, D)
    k = rope(g.split_heads(k, G));
    const int64_t window = slides ? c_.window : 0;
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c_.d_value, .window = window});
    const Tensor y = g.attention(cache, q, k, g.split_heads(v, G), 1 / std::sqrt(static_cast<double>(D)));
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model, b);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN(
    "olmo2", "0.1.0",
    arch<Olmo2>({.hf = {"Olmo2ForCausalLM", "Olmo3ForCausalLM"}, .model_type = {"olmo2", "olmo3"}, .gguf = {"olmo2"}}));
