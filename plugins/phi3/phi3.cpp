// phi3: llama's wiring with one fused projection for q, k, v and one for gate and up, a window, and longrope (Abdin et
// al. 2024; Ding et al. 2024). Phi-3, Phi-3.5-mini, Phi-4 and Phi-4-mini, which rotates 3/4 of each head.
// Written from transformers' modeling_phi3.py; revision in tests/golden/phi3/SOURCE.md.
// Not here: Phi-1 to 2 (phi), experts (phimoe).
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
        window(m.get_window({"sliding_window", "attention.sliding_window"})),
        eps(m.need_eps({"rms_norm_eps", "attention.layer_norm_rms_epsilon"})),
        act(activation(m, "hidden_act", "silu")),
        rope(m, d_head) {
    m.ignore({"interpolate_factor"}, "of another attention that its first code had");
    m.ignore({"full_attn_mod"}, "of another attention that its first code had");
  }
  int64_t d_ff, window;
  double eps;
  std::string act;
  Rope rope;
};

class Phi3 final : public Decoder {
 public:
  explicit Phi3(const Meta& m) : c_(m) {}

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
    const Names gate_up = w("mlp.gate_up_proj", "ffn_up");  // [2F, E], gate first
    const GatedMlp mlp{Weight(gate_up).rows(0, c_.d_ff), Weight(gate_up).rows(c_.d_ff, c_.d_ff),
                       w("mlp.down_proj", "ffn_down")};
    return x + gated_mlp(g.rms_norm(x, w("post_attention_layernorm", "ffn_norm"), c_.eps), mlp, c_.d_ff, c_.act);
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    const auto part = [&](int64_t first, int64_t n, const char* split_gguf) {
      const Weight rows = Weight(w("self_attn.qkv_proj", "attn_qkv")).rows(first, n);
      return g.linear(x, Weight(rows).or_named(w("", split_gguf)), n);
    };
    const Tensor q = c_.rope(g.split_heads(part(0, H * D, "attn_q"), H));  // (T, H, D)
    const Tensor k = c_.rope(g.split_heads(part(H * D, G * D, "attn_k"), G));
    const Tensor v = g.split_heads(part((H + G) * D, G * D, "attn_v"), G);
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = D, .window = c_.window});
    const Tensor y = g.attention(cache, q, k, v, 1 / std::sqrt(static_cast<double>(D)));
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("phi3", "0.1.0", arch<Phi3>({.hf = {"Phi3ForCausalLM"}, .model_type = {"phi3"}, .gguf = {"phi3"}}));
