// starcoder2: LayerNorm, biases everywhere, a plain GELU feed-forward block, rotary grouped-query attention over a
// window (Lozhkov et al. 2024). StarCoder2 3B, 7B, 15B.
// Written from transformers' modeling_starcoder2.py; revision in tests/golden/starcoder2/SOURCE.md.
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
        eps(m.get_eps({"norm_epsilon", "attention.layer_norm_epsilon"}, 1e-5)),
        act(activation(m, "hidden_act", "gelu_pytorch_tanh")),
        bias(bias_flag(m, "use_bias", true)),
        rope(m, d_head) {
    m.ignore({"mlp_type"}, "there is one");
    m.ignore({"norm_type"}, "there is one");
  }
  int64_t d_ff, window;
  double eps;
  std::string act;
  Bias bias;
  Rope rope;
};

class Starcoder2 final : public Decoder {
 public:
  explicit Starcoder2(const Meta& m) : c_(m) {}

  void describe(Graph& g) const override {
    g.model(c_.model());
    Tensor x = g.embed(kEmbedding, c_.n_vocab, c_.d_model);  // (T, E)
    for (int64_t i = 0; i < c_.n_layers; ++i) x = layer(g, i, x);
    x = g.layer_norm(g.wanted_rows(x), {"model.norm", "output_norm"}, c_.eps);
    g.logits(g.linear(x, Weight("lm_head", "output").tied_to(kEmbedding.hf), c_.n_vocab));  // (R, V)
  }

 private:
  Tensor layer(Graph& g, int64_t i, Tensor x) const {
    g.layer(i);
    const std::string n = std::to_string(i);
    const Scope w{"model.layers." + n + ".", "blk." + n + "."};
    x = x + attend(g, i, w, g.layer_norm(x, w("input_layernorm", "attn_norm"), c_.eps));
    const PlainMlp mlp{w("mlp.c_fc", "ffn_up"), w("mlp.c_proj", "ffn_down")};
    const Tensor h = g.layer_norm(x, w("post_attention_layernorm", "ffn_norm"), c_.eps);
    return x + plain_mlp(h, mlp, c_.d_ff, c_.act, c_.bias);
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    Tensor q = g.linear(x, w("self_attn.q_proj", "attn_q"), H * D, c_.bias);  // (T, H*D)
    Tensor k = g.linear(x, w("self_attn.k_proj", "attn_k"), G * D, c_.bias);  // (T, G*D)
    Tensor v = g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value, c_.bias);
    q = c_.rope(g.split_heads(q, H));  // (T, H, D)
    k = c_.rope(g.split_heads(k, G));
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c_.d_value, .window = c_.window});
    const Tensor y = g.attention(cache, q, k, g.split_heads(v, G), 1 / std::sqrt(static_cast<double>(D)));
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model, c_.bias);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("starcoder2", "0.1.0",
             arch<Starcoder2>({.hf = {"Starcoder2ForCausalLM"}, .model_type = {"starcoder2"}, .gguf = {"starcoder2"}}));
