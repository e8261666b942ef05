// phi: attention and a plain GELU feed-forward block side by side after one LayerNorm, biases everywhere, the head's
// too, rope on a part of each head (Li et al. 2023). Phi-1, Phi-1.5, Phi-2.
// Written from transformers' modeling_phi.py; revision in tests/golden/phi/SOURCE.md.
// Not here: Phi-3 and later (phi3), whose wiring is llama's.
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
        eps(m.get_eps({"layer_norm_eps", "attention.layer_norm_epsilon"}, 1e-5)),
        act(activation(m, "hidden_act", "gelu_new")),
        qk_norm(m.is_gguf() ? !m.tensor_shape("blk.0.attn_q_norm.weight").empty()
                            : m.get_bool({"qk_layernorm"}, false)),
        rope(m, d_head, 1e4, 0.5) {}
  int64_t d_ff;
  double eps;
  std::string act;
  bool qk_norm;
  Rope rope;
};

class Phi final : public Decoder {
 public:
  explicit Phi(const Meta& m) : c_(m) {}

  void describe(Graph& g) const override {
    g.model(c_.model());
    g.ignore_tensors({"model.layers.*.self_attn.rotary_emb.inv_freq", ""}, "computed from rope_theta");
    Tensor x = g.embed(kEmbedding, c_.n_vocab, c_.d_model);  // (T, E)
    for (int64_t i = 0; i < c_.n_layers; ++i) x = layer(g, i, x);
    x = g.layer_norm(g.wanted_rows(x), {"model.final_layernorm", "output_norm"}, c_.eps);
    g.logits(g.linear(x, Weight("lm_head", "output").tied_to(kEmbedding.hf), c_.n_vocab, Bias::required));  // (R, V)
  }

 private:
  Tensor layer(Graph& g, int64_t i, Tensor x) const {
    g.layer(i);
    const std::string n = std::to_string(i);
    const Scope w{"model.layers." + n + ".", "blk." + n + "."};
    const Tensor h = g.layer_norm(x, w("input_layernorm", "attn_norm"), c_.eps);
    const PlainMlp mlp{w("mlp.fc1", "ffn_up"), w("mlp.fc2", "ffn_down")};
    return x + attend(g, i, w, h) + plain_mlp(h, mlp, c_.d_ff, c_.act, Bias::required);
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    const auto heads = [&](const char* hf, const char* gguf, int64_t first, int64_t n) {  // early GGUF files fuse them
      const Weight split = Weight(w(hf, gguf)).or_named(w("", "attn_qkv")).rows(first * D, n * D);
      return g.split_heads(g.linear(x, split, n * D, Bias::required), n);
    };
    Tensor q = heads("self_attn.q_proj", "attn_q", 0, H);  // (T, H, D)
    Tensor k = heads("self_attn.k_proj", "attn_k", H, G);
    const Tensor v = heads("self_attn.v_proj", "attn_v", H + G, G);
    if (c_.qk_norm) {
      q = g.layer_norm(q, w("self_attn.q_layernorm", "attn_q_norm"), c_.eps);
      k = g.layer_norm(k, w("self_attn.k_layernorm", "attn_k_norm"), c_.eps);
    }
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = D});
    const Tensor y = g.attention(cache, c_.rope(q), c_.rope(k), v, 1 / std::sqrt(static_cast<double>(D)));
    return g.linear(g.merge_heads(y), w("self_attn.dense", "attn_output"), c_.d_model, Bias::required);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("phi", "0.1.0", arch<Phi>({.hf = {"PhiForCausalLM"}, .model_type = {"phi"}, .gguf = {"phi2"}}));
