// falcon: LayerNorm, one fused query-key-value projection, plain GELU feed-forward, attention and feed-forward side by
// side (Almazrouei et al. 2023). Three generations: 7B (one key head, one norm), 40B, 180B and Falcon2 11B (groups of
// heads, one norm or two), and the RW models (a norm before each sublayer, linear biases in place of rope).
// Written from transformers' modeling_falcon.py; revision in tests/golden/falcon/SOURCE.md.
// Not here: Falcon3 (llama), Falcon-Mamba (mamba). GGUF has no linear biases: those models are safetensors only.
#include <tenon/blocks/alibi.hpp>
#include <tenon/blocks/mlp.hpp>
#include <tenon/blocks/rope.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

const Names kEmbedding = {"transformer.word_embeddings", "token_embd"};

struct Config {  // quoted words are config.json's own and GGUF's own; the first files have other words
  explicit Config(const Meta& m)
      : n_layers(either(m, {"num_hidden_layers", "block_count"}, {"n_layer"})),
        d_model(either(m, {"hidden_size", "embedding_length"}, {"n_embed"})),
        d_ff(m.get_count({"ffn_hidden_size", "feed_forward_length"}, 4 * d_model)),
        n_heads(either(m, {"num_attention_heads", "attention.head_count"}, {"n_head"})),
        n_kv_heads(key_heads(m, n_heads)),
        d_head(m.get_count({nullptr, "attention.key_length"}, d_model / n_heads)),
        n_vocab(vocab_rows(m, kEmbedding)),
        n_ctx(m.get_count({"max_position_embeddings", "context_length"}, 2048)),
        eps(m.get_eps({"layer_norm_epsilon", "attention.layer_norm_epsilon"}, 1e-5)),
        act(activation(m, "activation", "gelu_erf")),
        alibi(m.get_bool({"alibi"}, false)),
        parallel(m.get_bool({"parallel_attn"}, true) || grouped(m)),
        bias(bias_flag(m, "bias")),
        rope(m, d_head) {
    if (d_head < 1 || n_heads % n_kv_heads != 0)
      throw Refusal("[config] " + m.name({"num_attention_heads", "attention.head_count"}) + " is " +
                    std::to_string(n_heads) + " for a width of " + std::to_string(d_model) + " and " +
                    std::to_string(n_kv_heads) + " key heads");
    const auto stored = [&](const char* hf, const char* gguf) {
      return !m.tensor_shape(m.is_gguf() ? gguf : hf).empty();
    };
    two_norms = stored("transformer.h.0.ln_attn.weight", "blk.0.attn_norm_2.weight");
    m.ignore({"num_ln_in_parallel_attn"}, "the norms that are stored say it");
    m.ignore({nullptr, "tensor_data_layout"}, "of its converter, always the same");
    if (m.get_bool({"apply_residual_connection_post_layernorm"}, false))
      throw Refusal("[config] apply_residual_connection_post_layernorm is true; known is the residual before the norm");
  }
  static int64_t either(const Meta& m, Key key, Key first_word) {
    return m.has(first_word) && !m.has(key) ? m.need_int(first_word) : m.need_int(key);
  }
  /// The 40B's wiring: the first files have no flag for it but a type of model.
  static bool grouped(const Meta& m) {
    return m.get_bool({"new_decoder_architecture"}, m.get_text({"model_type"}, "") == "RefinedWeb");
  }
  static int64_t key_heads(const Meta& m, int64_t n_heads) {
    if (m.is_gguf()) return m.get_count({nullptr, "attention.head_count_kv"}, n_heads);
    const bool one = m.get_bool({"multi_query"}, true);
    const int64_t stated = m.get_count({"num_kv_heads"}, m.get_count({"n_head_kv"}, n_heads));
    return grouped(m) ? stated : one ? 1 : n_heads;
  }
  int64_t n_layers, d_model, d_ff, n_heads, n_kv_heads, d_head, n_vocab, n_ctx;
  double eps;
  std::string act;
  bool alibi, parallel, two_norms = false;
  Bias bias;
  Rope rope;
};

class Falcon final : public Decoder {
 public:
  explicit Falcon(const Meta& m) : c_(m) {}

  void describe(Graph& g) const override {
    g.model({c_.n_layers, c_.n_vocab, c_.d_model, c_.n_ctx});
    Tensor x = g.embed(kEmbedding, c_.n_vocab, c_.d_model);  // (T, E)
    for (int64_t i = 0; i < c_.n_layers; ++i) x = layer(g, i, x);
    x = g.layer_norm(g.wanted_rows(x), {"transformer.ln_f", "output_norm"}, c_.eps);
    g.logits(g.linear(x, Weight("lm_head", "output").tied_to(kEmbedding.hf), c_.n_vocab));  // (R, V)
  }

 private:
  Tensor layer(Graph& g, int64_t i, Tensor x) const {
    g.layer(i);
    const std::string n = std::to_string(i);
    const Scope w{"transformer.h." + n + ".", "blk." + n + "."};
    if (c_.two_norms) {  // GGUF's attn_norm is the feed-forward's
      const Tensor h = g.layer_norm(x, w("ln_attn", "attn_norm_2"), c_.eps);
      const Tensor f = g.layer_norm(x, w("ln_mlp", "attn_norm"), c_.eps);
      return x + attend(g, i, w, h) + mlp(w, f);
    }
    const Tensor h = g.layer_norm(x, w("input_layernorm", "attn_norm"), c_.eps);
    if (c_.parallel) return x + attend(g, i, w, h) + mlp(w, h);
    x = x + attend(g, i, w, h);
    return x + mlp(w, g.layer_norm(x, w("post_attention_layernorm", ""), c_.eps));
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    // Safetensors hold the rows by key head: its queries, its key, its value.
    const Weight fused = Weight(w("self_attention.query_key_value", "attn_qkv")).hf_row_groups(G, H / G * D, D);
    const Tensor qkv = g.linear(x, fused, (H + 2 * G) * D, c_.bias);  // (T, (H+2G)*D)
    const Tensor q = g.split_heads(g.slice(qkv, 0, H * D), H);        // (T, H, D)
    const Tensor k = g.split_heads(g.slice(qkv, H * D, G * D), G);
    const Tensor v = g.split_heads(g.slice(qkv, (H + G) * D, G * D), G);
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = D});
    const double scale = 1 / std::sqrt(static_cast<double>(D));
    const Tensor y =
        c_.alibi ? alibi_attention(cache, q, k, v, scale) : g.attention(cache, c_.rope(q), c_.rope(k), v, scale);
    return g.linear(g.merge_heads(y), w("self_attention.dense", "attn_output"), c_.d_model, c_.bias);
  }

  Tensor mlp(const Scope& w, Tensor x) const {
    return plain_mlp(x, {w("mlp.dense_h_to_4h", "ffn_up"), w("mlp.dense_4h_to_h", "ffn_down")}, c_.d_ff, c_.act,
                     c_.bias);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("falcon", "0.1.0",
             arch<Falcon>({.hf = {"FalconForCausalLM", "RWForCausalLM"},
                           .model_type = {"falcon", "RefinedWeb", "RefinedWebModel"},
                           .gguf = {"falcon"}}));
