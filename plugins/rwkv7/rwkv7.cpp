// rwkv7 ("Goose"): no attention; a matrix per head under a generalised delta rule, and mixing with the token before.
// Each layer: x += time_mix(LN(x)); x += channel_mix(LN(x)). The embedding has a LayerNorm of its own.
// Written from the Goose paper (Peng et al. 2025) and the author's rwkv package; revision in
// tests/golden/rwkv7/SOURCE.md. Not here: decays without a delta rule (rwkv6), hybrids with attention.
#include <tenon/blocks/delta_rule.hpp>
#include <tenon/blocks/group_norm.hpp>
#include <tenon/blocks/rwkv.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

const Names kEmbedding = {"model.embeddings", "token_embd"}, kRawEmbedding = {"emb", ""};
constexpr tn_xform kFlat = {TN_X_RESHAPE, 0, {}, 0}, kTranspose = {TN_X_TRANSPOSE, 0, {0, 1}, 0};

/// Weights of one half of a block: names in the published checkpoints, in the author's files, and in GGUF.
struct Part {
  std::string hf, raw, gguf;

  Weight operator()(const std::string& name, const std::string& raw_name, const std::string& gguf_name) const {
    return Weight(Names{hf + name, gguf + gguf_name}).or_named({raw + raw_name, ""});
  }
  /// A row, whatever axes of 1 the files add.
  Weight row(const std::string& name, const std::string& raw_name) const {
    return Weight(Names{hf + name, gguf + raw_name + ".weight"})
        .whole_name()
        .step(kFlat)
        .or_named({raw + raw_name, ""})
        .step(kFlat);
  }
  /// A row that a token is mixed by; GGUF and the first published files hold the six together.
  Weight mix(int64_t which) const {
    const std::string name = std::string("x_") + "rwkvag"[which];
    return Weight(Names{hf + name, ""})
        .whole_name()
        .step(kFlat)
        .or_named({raw + name, ""})
        .step(kFlat)
        .or_named({hf + "x_x", gguf + "lerp_fused.weight"})
        .rows(which, 1)
        .step(kFlat);
  }
  /// A low-rank factor as a linear's weight; the author's files multiply from the right.
  Weight factor(char which, const char* place, const char* number) const {
    const std::string raw_name = std::string(1, which) + number;
    return Weight(Names{hf + which + "_lora.lora." + place + ".weight", gguf + raw_name + ".weight"})
        .whole_name()
        .or_named({raw + raw_name, ""})
        .hf_step(kTranspose);
  }
};

/// The extent of a tensor by the first of its names that is stored; in the author's files factors lie transposed.
int64_t extent(const Meta& m, const std::string& name, const std::string& raw, const std::string& gguf,
               size_t raw_axis) {
  if (const auto shape = m.tensor_shape(raw); shape.size() == 2) return shape[raw_axis];
  if (const auto shape = m.tensor_shape(m.is_gguf() ? gguf : name); shape.size() == 2) return shape[0];
  throw Refusal("[tensors] " + (m.is_gguf() ? gguf : name) + " is missing or no matrix");
}

struct Config {  // quoted words are config.json's own and GGUF's own
  explicit Config(const Meta& m)
      : n_layers(m.need_int({"num_hidden_layers", "block_count"})),
        d_model(m.need_int({"hidden_size", "embedding_length"})),
        d_head(head_width(m, d_model)),
        d_ff(extent(m, "model.layers.0.ffn.key.weight", "blocks.0.ffn.key.weight", "blk.0.channel_mix_key.weight", 0)),
        n_ctx(m.get_count({nullptr, "context_length"}, int64_t{1} << 20)),
        eps(m.get_eps({"norm_eps", "attention.layer_norm_epsilon"}, 1e-5)),
        embedding_norm(m.get_bool({"norm_first"}, true)),
        norm_bias(bias_flag(m, "norm_bias", true)) {
    const bool raw = !m.tensor_shape("emb.weight").empty();
    n_vocab = vocab_rows(m, raw ? kRawEmbedding : kEmbedding);
    head_eps = raw || m.is_gguf() ? 64e-5 : static_cast<double>(d_head) * eps;
    rank_w = rank(m, 0, 'w'), rank_a = rank(m, 0, 'a'), rank_g = rank(m, 0, 'g');
    rank_v = n_layers > 1 ? rank(m, 1, 'v') : 0;
    const Key heads = {"head_dim", "wkv.head_size"}, act = {"hidden_act"}, widths = {"value_dim"};
    if (d_model % d_head != 0) m.refuse_range(heads, std::to_string(d_head) + " of " + std::to_string(d_model));
    if (m.get_text(act, "sqrelu") != "sqrelu") m.refuse_range(act, m.get_text(act, ""));
    for (double width : m.reals(widths))
      if (width != static_cast<double>(d_model)) m.refuse_range(widths, std::to_string(width));
    for (const Key key : {Key{"intermediate_size", "feed_forward_length"},
                          {"*_low_rank_dim", "attention.*_lora_rank"},
                          {"hidden_ratio"}})
      m.ignore(key, "the stored shapes say it");
    for (const char* key : {"attn_mode", "fuse_*"}) m.ignore({key}, "how the reference computes the same");
    m.ignore({"max_position_embeddings"}, "trained with; nothing depends on the position");
  }

  static int64_t head_width(const Meta& m, int64_t d_model) {
    const Key stated = {"head_dim", "wkv.head_size"}, heads = {"num_heads"};
    m.ignore(heads, "head_dim goes first, published files get the other wrong");
    if (m.has(stated) || !m.has(heads)) return m.get_count(stated, 64);
    const int64_t n = m.need_int(heads);
    return n > d_model ? m.refuse_range(heads, std::to_string(n)) : d_model / n;
  }
  static int64_t rank(const Meta& m, int64_t layer, char which) {
    const std::string n = std::to_string(layer), c(1, which);
    return extent(m, "model.layers." + n + ".attn." + c + "_lora.lora.0.weight", "blocks." + n + ".att." + c + "1",
                  "blk." + n + ".time_mix_" + c + "1.weight", 1);
  }

  int64_t n_layers, d_model, d_head, d_ff, n_ctx, n_vocab = 0, rank_w = 0, rank_a = 0, rank_v = 0, rank_g = 0;
  double eps, head_eps = 0;
  bool embedding_norm;
  Bias norm_bias;
};

class Rwkv7 final : public Decoder {
 public:
  explicit Rwkv7(const Meta& m) : c_(m) {}

  void describe(Graph& g) const override {
    g.model({c_.n_layers, c_.n_vocab, c_.d_model, c_.n_ctx});
    Tensor x = g.embed(Weight(kEmbedding).or_named(kRawEmbedding), c_.n_vocab, c_.d_model);  // (T, E)
    if (c_.embedding_norm)
      x = norm(x, Weight("model.layers.0.pre_norm", "token_embd_norm").or_named({"blocks.0.ln0", ""}));
    Tensor v_first;  // (T, E), the first layer's values
    for (int64_t i = 0; i < c_.n_layers; ++i) {
      g.layer(i);
      const std::string n = std::to_string(i) + ".";
      const Part block{"model.layers." + n, "blocks." + n, "blk." + n};
      x = x + time_mix(g, i, norm(x, block("attn_norm", "ln1", "attn_norm")), v_first);
      x = x + channel_mix(g, i, norm(x, block("ffn_norm", "ln2", "attn_norm_2")));
    }
    for (const std::string name : {"v0", "v1", "v2"})
      g.ignore_tensors({"blocks.0.att." + name, "blk.0.time_mix_" + name + ".weight"}, "the first layer's values stay");
    g.ignore_tensors({"model.layers.0.attn.v_lora.*", ""}, "the first layer's values stay");
    x = norm(g.wanted_rows(x), Weight("model.norm", "output_norm").or_named({"ln_out", ""}));
    const Weight head = Weight("lm_head", "output").or_named({"head", ""}).tied_to(kEmbedding.hf);
    g.logits(g.linear(x, head, c_.n_vocab));  // (R, V)
  }

 private:
  Tensor norm(Tensor x, const Weight& w) const { return x.graph->layer_norm(x, w, c_.eps, c_.norm_bias); }

  Tensor time_mix(Graph& g, int64_t i, Tensor x, Tensor& v_first) const {
    const std::string n = std::to_string(i);
    const Part w{"model.layers." + n + ".attn.", "blocks." + n + ".att.", "blk." + n + ".time_mix_"};
    const int64_t E = c_.d_model, H = E / c_.d_head;
    const auto row = [&](const Weight& weight) { return g.operand(weight, "", {E}); };
    const auto low_rank = [&](Tensor in, char which, int64_t rank) {
      return g.linear(in, w.factor(which, "0", "1"), rank);
    };
    const auto spread = [&](Tensor low, char which) { return g.linear(low, w.factor(which, "2", "2"), E); };
    const auto around = [&](char which) {  // the row that such a correction is added to
      return row(w.row(std::string(1, which) + "_lora.lora.2.bias", std::string(1, which) + "0"));
    };
    const Tensor delta = subtract(token_shift(i, "time", x), x);
    const auto mixed = [&](int64_t which) { return lerp(x, delta, row(w.mix(which))); };
    const Tensor xr = mixed(0), xw = mixed(1), xk = mixed(2), xv = mixed(3), xa = mixed(4), xg = mixed(5);

    const Tensor r = g.linear(xr, w("r_proj", "receptance", "receptance"), E);  // (T, E), as all of these
    Tensor k = g.linear(xk, w("k_proj", "key", "key"), E), v = g.linear(xv, w("v_proj", "value", "value"), E);
    const Tensor fade = spread(g.unary(low_rank(xw, 'w', c_.rank_w), "tanh"), 'w') + around('w');
    const Tensor decay = g.scale(g.unary(fade, "sigmoid"), -std::exp(-0.5));  // a logarithm
    const Tensor a = g.unary(spread(low_rank(xa, 'a', c_.rank_a), 'a') + around('a'), "sigmoid");
    const Tensor gate = spread(g.unary(low_rank(xg, 'g', c_.rank_g), "sigmoid"), 'g');
    if (i == 0) v_first = v;
    if (i > 0)
      v = lerp(v, subtract(v_first, v), g.unary(spread(low_rank(xv, 'v', c_.rank_v), 'v') + around('v'), "sigmoid"));

    const Tensor kk = l2_norm(g.split_heads(k * row(w.row("k_k", "k_k")), H), 1e-24);  // (T, H, D)
    k = lerp(k, subtract(k * a, k), row(w.row("k_a", "k_a")));
    const auto heads = [&](Tensor t) { return g.split_heads(t, H); };
    const Tensor state = wkv7(i, {heads(r), heads(decay), heads(k), heads(v), g.unary(kk, "neg"), kk * heads(a)});
    Tensor y = group_norm(g.merge_heads(state), H, w("g_norm", "ln_x", "ln"), c_.head_eps);
    const Tensor bonus = row_sum(heads(r * k * row(w.row("r_k", "r_k"))));  // (T, H, 1)
    y = y + g.merge_heads(heads(v) * bonus);
    return g.linear(y * gate, w("o_proj", "output", "output"), E);
  }

  Tensor channel_mix(Graph& g, int64_t i, Tensor x) const {
    const std::string n = std::to_string(i);
    const Part w{"model.layers." + n + ".ffn.", "blocks." + n + ".ffn.", "blk." + n + ".channel_mix_"};
    const Tensor delta = subtract(token_shift(i, "channel", x), x);
    const Weight mix = Weight(Names{w.hf + "x_k", w.gguf + "lerp_k.weight"})
                           .whole_name()
                           .step(kFlat)
                           .or_named({w.raw + "x_k", ""})
                           .step(kFlat);
    const Tensor k = g.linear(lerp(x, delta, g.operand(mix, "", {c_.d_model})), w("key", "key", "key"), c_.d_ff);
    return g.linear(g.unary(k, "relu2"), w("value", "value", "value"), c_.d_model);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("rwkv7", "0.1.0",
             arch<Rwkv7>({.hf = {"RWKV7ForCausalLM", "Rwkv7ForCausalLM"},
                          .model_type = {"rwkv7", "rwkv7_fla"},
                          .gguf = {"rwkv7"}}));
