// modernbert: an encoder. LayerNorm before each sublayer (but none before the first), GeGLU, a rope for each kind of
// layer: every third sees the whole text, the others half a window to either side (Warner et al. 2024).
// ModernBERT base and large and models made from them: states, one vector for a text, masked-word logits, class scores.
// Written from transformers' modeling_modernbert.py; revision in tests/golden/modernbert/SOURCE.md.
#include <tenon/blocks/dims.hpp>
#include <tenon/blocks/encoder.hpp>
#include <tenon/blocks/layer_types.hpp>
#include <tenon/blocks/mlp.hpp>
#include <tenon/blocks/rope.hpp>
#include <tenon/blocks/text_part.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

constexpr const char* kTable = "embeddings.tok_embeddings";

struct Config : Dims {  // quoted words are config.json's own and GGUF's own
  Config(const Meta& m, const Names& embedding)
      : Dims(m, embedding),
        d_ff(m.need_int({"intermediate_size", "feed_forward_length"})),
        window(m.get_window({"local_attention", "attention.sliding_window"})),
        eps(m.get_eps({"norm_eps", "attention.layer_norm_epsilon"}, 1e-5)),
        act(word(m, {"hidden_activation", "hidden_activation"})),
        head_act(word(m, {"classifier_activation"})),
        norm_bias(bias_flag(m, "norm_bias")),
        attention_bias(bias_flag(m, "attention_bias")),
        mlp_bias(bias_flag(m, "mlp_bias")),
        head_bias(bias_flag(m, "classifier_bias")),
        decoder_bias(bias_flag(m, "decoder_bias", true)),
        class_pooling(m.get_text({"classifier_pooling"}, "cls") == "mean" ? "mean" : "first"),
        sliding(slides(m, n_layers)),
        rope(Rope::unscaled(m, d_head, "full_attention", {"global_rope_theta", "rope.freq_base"}, 160000)),
        local_rope(Rope::unscaled(m, d_head, "sliding_attention", {"local_rope_theta", "rope.freq_base_swa"}, 10000)) {
    if (!m.is_gguf() && !m.has({"local_attention"})) window = 128;
    if (m.get_bool({nullptr, "attention.causal"}, false)) throw Refusal("[config] attention.causal is true");
    if (m.get_text({nullptr, "rope.scaling.type"}, "none") != "none")
      throw Refusal("[config] rope.scaling.type is " + m.get_text({nullptr, "rope.scaling.type"}, "") + ", not none");
    m.ignore({nullptr, "attention.layer_norm_rms_epsilon"}, "the same as attention.layer_norm_epsilon");
    m.ignore({"layer_norm_eps"}, "norm_eps is the one that is used");
    m.ignore({"global_attn_every_n_layers"}, "layer_types is the newer word");
    m.ignore({"position_embedding_type"}, "of its ancestors: positions are rotations here");
    for (const char* key : {"deterministic_flash_attn", "reference_compile", "repad_logits_with_grad"})
      m.ignore({key}, "how the reference computes the same");
    m.ignore({"sparse_pred*"}, "training only");
  }
  static std::string word(const Meta& m, Key key) {
    const std::string act = m.get_text(key, "gelu");
    return act == "gelu" ? "gelu_erf" : act == "gelu_pytorch_tanh" || act == "gelu_new" ? "gelu_tanh" : act;
  }
  /// By layer: whether it sees a window only.
  static std::vector<bool> slides(const Meta& m, int64_t n_layers) {
    const Key period = {"global_attn_every_n_layers", "attention.sliding_window_pattern"};
    if (m.has({"layer_types"}) || m.type(period) == TN_TYPE_ARRAY) return sliding_layers(m, n_layers, {});
    std::vector<bool> sliding;
    for (int64_t i = 0, n = m.get_count(period, 3); i < n_layers; ++i) sliding.push_back(i % n != 0);
    return sliding;
  }
  int64_t d_ff, window;
  double eps;
  std::string act, head_act;
  Bias norm_bias, attention_bias, mlp_bias, head_bias, decoder_bias;
  std::string class_pooling;
  std::vector<bool> sliding;
  Rope rope, local_rope;
};

class ModernBert final : public Decoder {
 public:
  explicit ModernBert(const Meta& m)
      : body_(text_names(m, kTable).body), embedding_{body_ + kTable, "token_embd"}, c_(m, embedding_), sentence_(m) {
    const auto rows = [&](const char* hf, const char* gguf) {
      const auto shape = m.tensor_shape(m.is_gguf() ? gguf : hf);
      return shape.empty() ? 0 : shape[0];
    };
    n_classes_ = rows("classifier.weight", "cls.output.weight");
    masked_words_ = n_classes_ == 0 && rows("head.dense.weight", "cls.weight") > 0;
    m.ignore({nullptr, "classifier.*"}, "names of the classes");
  }

  void describe(Graph& g) const override {
    g.model(c_.model());
    Tensor x = g.embed(embedding_, c_.n_vocab, c_.d_model);  // (T, E)
    x = norm(g, x, {body_ + "embeddings.norm", "token_embd_norm"});
    for (int64_t i = 0; i < c_.n_layers; ++i) x = layer(g, i, x);
    x = norm(g, x, {body_ + "final_norm", "output_norm"});
    g.hidden(x);
    g.output("embedding", sentence_(x));  // (R, N)
    if (masked_words_) {
      const Weight decoder = Weight("decoder", "").tied_to(embedding_.hf);
      g.logits(g.linear(head(g, g.wanted_rows(x)), decoder, c_.n_vocab, c_.decoder_bias));  // (R, V)
    }
    if (n_classes_ > 0)
      g.output("scores",
               g.linear(head(g, pool(x, c_.class_pooling)), {"classifier", "cls.output"}, n_classes_, Bias::required));
  }

 private:
  Tensor norm(Graph& g, Tensor x, const Names& w) const { return g.layer_norm(x, w, c_.eps, c_.norm_bias); }

  Tensor layer(Graph& g, int64_t i, Tensor x) const {
    g.layer(i);
    const std::string n = std::to_string(i);
    const Scope w{body_ + "layers." + n + ".", "blk." + n + "."};
    x = x + attend(g, i, w, i == 0 ? x : norm(g, x, w("attn_norm", "attn_norm")));
    const Names fused = w("mlp.Wi", "ffn_up");  // what is activated, then its gate
    const int64_t F = c_.d_ff;
    const GatedMlp mlp{Weight(fused).rows(0, F), Weight(fused).rows(F, F), w("mlp.Wo", "ffn_down")};
    return x + gated_mlp(norm(g, x, w("mlp_norm", "ffn_norm")), mlp, F, c_.act, c_.mlp_bias);
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, E = H * c_.d_head;
    const bool slides = c_.sliding[static_cast<size_t>(i)];
    const Rope& rope = slides ? c_.local_rope : c_.rope;
    const auto part = [&](int64_t n) {  // queries, keys, values
      const Weight rows = Weight(w("attn.Wqkv", "attn_qkv")).rows(n * E, E);
      return g.split_heads(g.linear(x, rows, E, c_.attention_bias), H);  // (T, H, D)
    };
    const Tensor q = rope(part(0)), k = rope(part(1)), v = part(2);
    const double scale = 1 / std::sqrt(static_cast<double>(c_.d_head));
    const Tensor y = encoder_attention(q, k, v, scale, slides ? c_.window : 0);
    return g.linear(g.merge_heads(y), w("attn.Wo", "attn_output"), c_.d_model, c_.attention_bias);
  }

  /// What stands before the masked words' decoder and before the classifier.
  Tensor head(Graph& g, Tensor x) const {
    x = g.unary(g.linear(x, {"head.dense", "cls"}, c_.d_model, c_.head_bias), c_.head_act);
    return norm(g, x, {"head.norm", "cls.norm"});
  }

  std::string body_;
  Names embedding_;
  Config c_;
  SentenceHead sentence_;
  int64_t n_classes_ = 0;
  bool masked_words_ = false;
};
}  // namespace

TENON_PLUGIN("modernbert", "0.1.0",
             arch<ModernBert>({.hf = {"ModernBertModel", "ModernBertForMaskedLM",
                                      "ModernBertForSequenceClassification"},
                               .model_type = {"modernbert"},
                               .gguf = {"modern-bert"}}));
