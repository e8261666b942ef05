// olmo: llama's wiring with a LayerNorm that has no weights, and queries, keys and values that may be clipped
// (Groeneveld et al. 2024). OLMo 1B and 7B of the first generation.
// Written from transformers' modeling_olmo.py; revision in tests/golden/olmo/SOURCE.md.
// Not here: OLMo 2 and 3 (olmo2), experts (olmoe).
#include <tenon/blocks/dims.hpp>
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
        clip(m.get_real({"clip_qkv", "attention.clamp_kqv"}, 0)),
        eps(m.get_eps({nullptr, "attention.layer_norm_epsilon"}, 1e-5)),
        act(activation(m, "hidden_act", "silu")),
        attention_bias(bias_flag(m, "attention_bias")),
        rope(m, d_head) {
    if (clip != 0) m.in_range({"clip_qkv", "attention.clamp_kqv"}, clip, 0, HUGE_VAL);
  }
  int64_t d_ff;
  double clip, eps;  // clip 0: no bound
  std::string act;
  Bias attention_bias;
  Rope rope;
};

class Olmo final : public Decoder {
 public:
  explicit Olmo(const Meta& m) : c_(m) {}

  void describe(Graph& g) const override {
    g.model(c_.model());
    Tensor x = g.embed(kEmbedding, c_.n_vocab, c_.d_model);  // (T, E)
    for (int64_t i = 0; i < c_.n_layers; ++i) x = layer(g, i, x);
    x = g.layer_norm(g.wanted_rows(x), c_.eps);
    g.logits(g.linear(x, Weight("lm_head", "output").tied_to(kEmbedding.hf), c_.n_vocab));  // (R, V)
  }

 private:
  Tensor layer(Graph& g, int64_t i, Tensor x) const {
    g.layer(i);
    const std::string n = std::to_string(i);
    const Scope w{"model.layers." + n + ".", "blk." + n + "."};
    x = x + attend(g, i, w, g.layer_norm(x, c_.eps));
    const GatedMlp mlp{w("mlp.gate_proj", "ffn_gate"), w("mlp.up_proj", "ffn_up"), w("mlp.down_proj", "ffn_down")};
    return x + gated_mlp(g.layer_norm(x, c_.eps), mlp, c_.d_ff, c_.act);
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    const Bias b = c_.attention_bias;
    const auto clipped = [&](Tensor y) { return c_.clip != 0 ? g.clamp(y, -c_.clip, c_.clip) : y; };
    Tensor q = clipped(g.linear(x, Weight(w("self_attn.q_proj", "attn_q")).rope_rows(H), H * D, b));  // (T, H*D)
    Tensor k = clipped(g.linear(x, Weight(w("self_attn.k_proj", "attn_k")).rope_rows(G), G * D, b));  // (T, G*D)
    Tensor v = clipped(g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value, b));
    q = c_.rope(g.split_heads(q, H));  // (T, H, D)
    k = c_.rope(g.split_heads(k, G));
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c_.d_value});
    const Tensor y = g.attention(cache, q, k, g.split_heads(v, G), 1 / std::sqrt(static_cast<double>(D)));
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model, b);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("olmo", "0.1.0", arch<Olmo>({.hf = {"OlmoForCausalLM"}, .model_type = {"olmo"}, .gguf = {"olmo"}}));
