// template: a dense decoder to start from. RMSNorm, rotary grouped-query attention, gated feed-forward.
// Rename Example, "example" and "ExampleForCausalLM"; then make the difference to your model the difference to this
// file.
#include <tenon/blocks/rope.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

const Names kEmbedding = {"model.embed_tokens", "token_embd"};

struct Config {  // each hyper-parameter by config.json's name and by GGUF's, which the host prefixes with "example."
  explicit Config(const Meta& m)
      : n_layers(m.need_int({"num_hidden_layers", "block_count"})),
        d_model(m.need_int({"hidden_size", "embedding_length"})),
        d_ff(m.need_int({"intermediate_size", "feed_forward_length"})),
        n_heads(m.need_int({"num_attention_heads", "attention.head_count"})),
        n_kv_heads(m.get_int({"num_key_value_heads", "attention.head_count_kv"}, n_heads)),
        d_head(m.get_int({"head_dim", "attention.key_length"}, d_model / n_heads)),
        d_value(m.get_int({nullptr, "attention.value_length"}, d_head)),
        n_vocab(vocab_rows(m, kEmbedding)),
        n_ctx(m.need_int({"max_position_embeddings", "context_length"})),
        eps(m.need_real({"rms_norm_eps", "attention.layer_norm_rms_epsilon"})),
        act(activation(m, "hidden_act", "silu")),
        rope(m, d_head) {
    m.ignore({"pretraining_tp"}, "a key that says how the model was trained changes nothing here");
  }
  int64_t n_layers, d_model, d_ff, n_heads, n_kv_heads, d_head, d_value, n_vocab, n_ctx;
  double eps;
  std::string act;
  Rope rope;
};

class Example final : public Decoder {
 public:
  explicit Example(const Meta& m) : c_(m) {}

  void describe(Graph& g) const override {
    g.model({c_.n_layers, c_.n_vocab, c_.d_model, c_.n_ctx});
    Tensor x = g.embed(kEmbedding, c_.n_vocab, c_.d_model);  // (T, E)
    for (int64_t i = 0; i < c_.n_layers; ++i) {
      g.layer(i);
      const std::string n = std::to_string(i);
      const Scope w{"model.layers." + n + ".", "blk." + n + "."};
      x = x + attend(g, i, w, g.rms_norm(x, w("input_layernorm", "attn_norm"), c_.eps));
      x = x + mlp(g, w, g.rms_norm(x, w("post_attention_layernorm", "ffn_norm"), c_.eps));
    }
    x = g.rms_norm(g.wanted_rows(x), {"model.norm", "output_norm"}, c_.eps);
    g.logits(g.linear(x, Weight("lm_head", "output").tied_to(kEmbedding.hf), c_.n_vocab));  // (R, V)
  }

 private:
  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    Tensor q = g.linear(x, Weight(w("self_attn.q_proj", "attn_q")).rope_rows(H), H * D);  // (T, H*D)
    Tensor k = g.linear(x, Weight(w("self_attn.k_proj", "attn_k")).rope_rows(G), G * D);  // (T, G*D)
    Tensor v = g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value);
    q = c_.rope(g.split_heads(q, H));  // (T, H, D)
    k = c_.rope(g.split_heads(k, G));
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c_.d_value});
    const Tensor y = g.attention(cache, q, k, g.split_heads(v, G), 1 / std::sqrt(static_cast<double>(D)));
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model);
  }

  Tensor mlp(Graph& g, const Scope& w, Tensor x) const {
    const Tensor gate = g.linear(x, w("mlp.gate_proj", "ffn_gate"), c_.d_ff);  // (T, F)
    const Tensor up = g.linear(x, w("mlp.up_proj", "ffn_up"), c_.d_ff);
    return g.linear(g.glu(gate, up, c_.act), w("mlp.down_proj", "ffn_down"), c_.d_model);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("template", "0.1.0",
             arch<Example>({.hf = {"ExampleForCausalLM"}, .model_type = {"example"}, .gguf = {"example"}}));
