// llama: dense decoder. RMSNorm, rotary grouped-query attention, SwiGLU.
// Llama 2 and 3.x, Yi, SmolLM, SmolLM2, TinyLlama, R1-Distill-Llama, Falcon3.
// Written from transformers' modeling_llama.py; revision in tests/golden/llama/SOURCE.md.
// Not here: sliding window (mistral), query/key norm (qwen3), experts (mixtral).
#include <tenon/blocks/rope.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

const Names kEmbedding = {"model.embed_tokens", "token_embd"};

struct Config {  // quoted words are config.json's own and GGUF's own
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
        attention_bias(bias_flag(m, "attention_bias")),
        mlp_bias(bias_flag(m, "mlp_bias")),
        rope(m, d_head) {
    m.ignore({"is_llama_config"}, "a converter's mark");
    m.ignore({"pretraining_tp"}, "splits a product into slices that are summed again");
  }
  int64_t n_layers, d_model, d_ff, n_heads, n_kv_heads, d_head, d_value, n_vocab, n_ctx;
  double eps;
  std::string act;
  Bias attention_bias, mlp_bias;
  Rope rope;
};

class Llama final : public Decoder {
 public:
  explicit Llama(const Meta& m) : c_(m) {}

  /// GGUF calls a mixture of experts "llama" too; that one is not described here.
  static int match(const Meta& m) { return m.get_int({nullptr, "expert_count"}, 0) > 0 ? 0 : 50; }

  void describe(Graph& g) const override {
    g.model({c_.n_layers, c_.n_vocab, c_.d_model, c_.n_ctx});
    g.ignore_tensors({"model.layers.*.self_attn.rotary_emb.inv_freq", ""}, "computed from rope_theta");
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
    return x + mlp(g, w, g.rms_norm(x, w("post_attention_layernorm", "ffn_norm"), c_.eps));
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    const Bias b = c_.attention_bias;
    Tensor q = g.linear(x, Weight(w("self_attn.q_proj", "attn_q")).rope_rows(H), H * D, b);  // (T, H*D)
    Tensor k = g.linear(x, Weight(w("self_attn.k_proj", "attn_k")).rope_rows(G), G * D, b);  // (T, G*D)
    Tensor v = g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value, b);
    q = c_.rope(g.split_heads(q, H));  // (T, H, D)
    k = c_.rope(g.split_heads(k, G));
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c_.d_value});
    const Tensor y = g.attention(cache, q, k, g.split_heads(v, G), 1 / std::sqrt(static_cast<double>(D)));
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model, b);
  }

  Tensor mlp(Graph& g, const Scope& w, Tensor x) const {
    const Tensor gate = g.linear(x, w("mlp.gate_proj", "ffn_gate"), c_.d_ff, c_.mlp_bias);  // (T, F)
    const Tensor up = g.linear(x, w("mlp.up_proj", "ffn_up"), c_.d_ff, c_.mlp_bias);
    return g.linear(g.glu(gate, up, c_.act), w("mlp.down_proj", "ffn_down"), c_.d_model, c_.mlp_bias);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("llama", "0.1.0", arch<Llama>({.hf = {"LlamaForCausalLM"}, .model_type = {"llama"}, .gguf = {"llama"}}));
