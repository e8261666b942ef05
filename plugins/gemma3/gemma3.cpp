// gemma3: gemma2 with norms on each query and key head in place of soft caps, five layers with a window to one without,
// and a rope for each kind (Gemma team 2025). Gemma 3 270M and 1B, the text model of the 4B to 27B, and EmbeddingGemma,
// whose layers look both ways and whose states become one vector.
// Written from transformers' modeling_gemma3.py; revision in tests/golden/gemma3/SOURCE.md. Not here: images.
#include <tenon/blocks/encoder.hpp>
#include <tenon/blocks/layer_types.hpp>
#include <tenon/blocks/mlp.hpp>
#include <tenon/blocks/rope.hpp>
#include <tenon/blocks/text_part.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

struct Config {  // quoted words are config.json's own and GGUF's own; a wrapper's text_config leaves defaults out
  Config(const Meta& m, const Names& embedding)
      : n_layers(size(m, {"num_hidden_layers", "block_count"}, 26)),
        d_model(size(m, {"hidden_size", "embedding_length"}, 2304)),
        d_ff(size(m, {"intermediate_size", "feed_forward_length"}, 9216)),
        n_heads(size(m, {"num_attention_heads", "attention.head_count"}, 8)),
        n_kv_heads(size(m, {"num_key_value_heads", "attention.head_count_kv"}, 4)),
        d_head(size(m, {"head_dim", "attention.key_length"}, 256)),
        d_value(m.get_count({nullptr, "attention.value_length"}, d_head)),
        n_vocab(vocab_rows(m, embedding)),
        n_ctx(size(m, {"max_position_embeddings", "context_length"}, 131072)),
        window(m.is_gguf() || m.has({"sliding_window"}) ? m.get_window({"sliding_window", "attention.sliding_window"})
                                                        : 4096),
        eps(m.get_eps({"rms_norm_eps", "attention.layer_norm_rms_epsilon"}, 1e-6)),
        act(activation(m, "hidden_activation", "gelu_tanh")),
        score_cap(cap(m, {"attn_logit_softcapping", "attn_logit_softcapping"})),
        logit_cap(cap(m, {"final_logit_softcapping", "final_logit_softcapping"})),
        attention_bias(bias_flag(m, "attention_bias")),
        sliding(sliding_layers(m, n_layers, [](int64_t i) { return (i + 1) % 6 != 0; })),
        rope(Rope::of_layers(m, d_head, "full_attention", 1e6)),
        local_rope(
            Rope::unscaled(m, d_head, "sliding_attention", {"rope_local_base_freq", "rope.freq_base_swa"}, 1e4)) {
    // GGUF has no key for it: the width of a head, but for the 27B.
    const double per_head = m.is_gguf() ? static_cast<double>(n_layers == 62 ? d_model / n_heads : d_head) : 256;
    scale = 1 / std::sqrt(m.get_positive({"query_pre_attn_scalar"}, per_head));
    looks_ahead = m.get_bool({"use_bidirectional_attention"}, false) ||
                  m.get_text({nullptr, "/general.architecture"}, "") == "gemma-embedding";
    m.ignore({"*sliding_window_pattern"}, "layer_types is the newer word");
    m.ignore({"hidden_act"}, "hidden_activation is the one");
    m.ignore({"cache_implementation"}, "how the reference keeps its cache");
  }
  static int64_t size(const Meta& m, Key key, int64_t otherwise) {
    return m.is_gguf() ? m.need_int(key) : m.get_count(key, otherwise);
  }
  static double cap(const Meta& m, Key key) { return m.has(key) ? m.get_positive(key, 0) : 0; }
  int64_t n_layers, d_model, d_ff, n_heads, n_kv_heads, d_head, d_value, n_vocab, n_ctx, window;
  double eps, scale = 1;
  std::string act;
  double score_cap, logit_cap;
  Bias attention_bias;
  std::vector<bool> sliding;
  Rope rope, local_rope;
  bool looks_ahead = false;
};

class Gemma3 final : public Decoder {
 public:
  explicit Gemma3(const Meta& m)
      : names_(text_names(m)), embedding_{names_.body + "embed_tokens", "token_embd"}, c_(text_part(m), embedding_) {
    if (c_.looks_ahead) sentence_.emplace(m);
  }

  void describe(Graph& g) const override {
    g.model({c_.n_layers, c_.n_vocab, c_.d_model, c_.n_ctx});
    ignore_other_modalities(g);
    const double width = static_cast<double>(c_.d_model);
    Tensor x = g.scale(g.embed(embedding_, c_.n_vocab, c_.d_model), std::sqrt(width));  // (T, E)
    for (int64_t i = 0; i < c_.n_layers; ++i) x = layer(g, i, x);
    const Names last = {names_.body + "norm", "output_norm"};
    if (sentence_) {
      x = norm(g, x, last);
      g.hidden(x);
      g.output("embedding", (*sentence_)(x));  // (R, N)
      return;
    }
    x = norm(g, g.wanted_rows(x), last);
    x = g.linear(x, Weight(Names{names_.head, "output"}).tied_to(embedding_.hf), c_.n_vocab);  // (R, V)
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
    const Scope w{names_.body + "layers." + n + ".", "blk." + n + "."};
    Tensor y = attend(g, i, w, norm(g, x, w("input_layernorm", "attn_norm")));
    x = x + norm(g, y, w("post_attention_layernorm", "post_attention_norm"));
    const GatedMlp mlp{w("mlp.gate_proj", "ffn_gate"), w("mlp.up_proj", "ffn_up"), w("mlp.down_proj", "ffn_down")};
    y = gated_mlp(norm(g, x, w("pre_feedforward_layernorm", "ffn_norm")), mlp, c_.d_ff, c_.act);
    return x + norm(g, y, w("post_feedforward_layernorm", "post_ffw_norm"));
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    const Bias b = c_.attention_bias;
    const bool slides = c_.sliding[static_cast<size_t>(i)];
    const int64_t window = slides ? c_.window : 0;
    const Rope& rope = slides ? c_.local_rope : c_.rope;
    Tensor q = g.split_heads(g.linear(x, w("self_attn.q_proj", "attn_q"), H * D, b), H);  // (T, H, D)
    Tensor k = g.split_heads(g.linear(x, w("self_attn.k_proj", "attn_k"), G * D, b), G);  // (T, G, D)
    Tensor v = g.split_heads(g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value, b), G);
    q = rope(norm(g, q, w("self_attn.q_norm", "attn_q_norm")));
    k = rope(norm(g, k, w("self_attn.k_norm", "attn_k_norm")));
    const Tensor y = c_.looks_ahead ? encoder_attention(q, k, v, c_.scale, window)
                                    : g.attention(cache(g, i, window), q, k, v, Graph::Scores{c_.scale, c_.score_cap});
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model, b);
  }

  tn_st cache(Graph& g, int64_t i, int64_t window) const {
    return g.kv(i, {.n_heads = c_.n_kv_heads, .d_key = c_.d_head, .d_value = c_.d_value, .window = window});
  }

  TextNames names_;
  Names embedding_;
  Config c_;
  std::optional<SentenceHead> sentence_;
};
}  // namespace

TENON_PLUGIN("gemma3", "0.1.0",
             arch<Gemma3>({.hf = {"Gemma3ForCausalLM", "Gemma3ForConditionalGeneration", "Gemma3TextModel"},
                           .model_type = {"gemma3_text", "gemma3"},
                           .gguf = {"gemma3", "gemma-embedding"}}));
