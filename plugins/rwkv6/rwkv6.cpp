// rwkv6 ("Finch"): no attention; a matrix per head that fades by what each token says, and mixing with the token
// before. Each layer: x += time_mix(LN(x)); x += channel_mix(LN(x)). The embedding has a LayerNorm of its own. Written
// from the Eagle and Finch paper (Peng et al. 2024) and the author's rwkv package; revision in
// tests/golden/rwkv6/SOURCE.md. Not here: fixed decays (rwkv5), the delta rule (rwkv7).
#include <tenon/blocks/group_norm.hpp>
#include <tenon/blocks/rwkv.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

const Names kEmbedding = {"rwkv.embeddings", "token_embd"}, kRawEmbedding = {"emb", ""};
constexpr tn_xform kFlat = {TN_X_RESHAPE, 0, {}, 0}, kTranspose = {TN_X_TRANSPOSE, 0, {0, 1}, 0};

/// Weights of one half of a block: names in the published checkpoints, in the author's files, and in GGUF.
struct Part {
  std::string hf, raw, gguf;

  Weight operator()(const std::string& name, const std::string& gguf_name) const {
    return Weight(Names{hf + name, gguf + gguf_name}).or_named({raw + name, ""});
  }
  /// Of the shape that is asked for, whatever axes of 1 the files add.
  Weight row(const std::string& name, const std::string& gguf_name) const {
    return Weight(Names{hf + name, gguf + gguf_name + ".weight"})
        .whole_name()
        .step(kFlat)
        .or_named({raw + name, ""})
        .step(kFlat);
  }
  /// A low-rank factor: checkpoints multiply from the right, GGUF holds it as a linear's weight.
  Weight factor(const std::string& name, const std::string& gguf_name) const {
    return Weight(Names{hf + name, gguf + gguf_name + ".weight"})
        .whole_name()
        .hf_step(kTranspose)
        .or_named({raw + name, ""})
        .hf_step(kTranspose);
  }
};

/// The extent of a tensor by the first of its names that is stored.
int64_t extent(const Meta& m, std::initializer_list<const char*> names, size_t axis) {
  for (const char* name : names)
    if (const auto shape = m.tensor_shape(name); shape.size() == 2) return shape[axis];
  throw Refusal(std::string("[tensors] ") + *names.begin() + " is missing or no matrix");
}

struct Config {  // quoted words are config.json's own and GGUF's own
  explicit Config(const Meta& m)
      : n_layers(m.need_int({"num_hidden_layers", "block_count"})),
        d_model(m.need_int({"hidden_size", "embedding_length"})),
        d_head(m.get_count({"head_size", "wkv.head_size"}, 64)),
        n_vocab(vocab_rows(m, m.tensor_shape("emb.weight").empty() ? kEmbedding : kRawEmbedding)),
        n_ctx(m.get_count({nullptr, "context_length"}, int64_t{1} << 20)),
        halved_every(m.get_int({nullptr, "rescale_every_n_layers"}, 0)),
        eps(m.get_eps({"layer_norm_epsilon", "attention.layer_norm_epsilon"}, 1e-5)),
        head_eps(1e-5 * std::pow(m.get_positive({"head_size_divisor"}, 8), 2)) {
    const Key heads = {"head_size", "wkv.head_size"}, halved = {nullptr, "rescale_every_n_layers"};
    if (d_model % d_head != 0) m.refuse_range(heads, std::to_string(d_head) + " of " + std::to_string(d_model));
    if (halved_every < 0) m.refuse_range(halved, std::to_string(halved_every));
    const size_t right = m.is_gguf() ? 0 : 1;  // the axis of a low-rank factor that is its rank
    d_ff = extent(
        m, {"rwkv.blocks.0.feed_forward.key.weight", "blocks.0.ffn.key.weight", "blk.0.channel_mix_key.weight"}, 0);
    mix_rank =
        extent(m, {"rwkv.blocks.0.attention.time_maa_w1", "blocks.0.att.time_maa_w1", "blk.0.time_mix_w1.weight"},
               right) /
        5;
    decay_rank = extent(
        m, {"rwkv.blocks.0.attention.time_decay_w1", "blocks.0.att.time_decay_w1", "blk.0.time_mix_decay_w1.weight"},
        right);
    m.ignore({"intermediate_size", "feed_forward_length"}, "the stored shapes say it");
    m.ignore({nullptr, "time_*_extra_dim"}, "the stored shapes say it");
    for (const char* key : {"attention_hidden_size", "num_attention_heads"}) m.ignore({key}, "heads of head_size");
    m.ignore({"rescale_every"}, "for half precision; the stored weights are whole");
    m.ignore({"context_length"}, "trained with; nothing depends on the position");
    m.ignore({"model_version"}, "of the remote code");
  }

  int64_t n_layers, d_model, d_head, n_vocab, n_ctx, halved_every, d_ff = 0, mix_rank = 0, decay_rank = 0;
  double eps, head_eps;
};

class Rwkv6 final : public Decoder {
 public:
  explicit Rwkv6(const Meta& m) : c_(m) {}

  void describe(Graph& g) const override {
    g.model({c_.n_layers, c_.n_vocab, c_.d_model, c_.n_ctx});
    Tensor x = g.embed(Weight(kEmbedding).or_named(kRawEmbedding), c_.n_vocab, c_.d_model);  // (T, E)
    x = g.layer_norm(x, Weight("rwkv.blocks.0.pre_ln", "token_embd_norm").or_named({"blocks.0.ln0", ""}), c_.eps);
    for (int64_t i = 0; i < c_.n_layers; ++i) {
      g.layer(i);
      const std::string n = std::to_string(i) + ".";
      const Part block{"rwkv.blocks." + n, "blocks." + n, "blk." + n};
      x = x + time_mix(g, i, g.layer_norm(x, block("ln1", "attn_norm"), c_.eps));
      x = x + channel_mix(g, i, g.layer_norm(x, block("ln2", "attn_norm_2"), c_.eps));
    }
    x = g.layer_norm(g.wanted_rows(x), Weight("rwkv.ln_out", "output_norm").or_named({"ln_out", ""}), c_.eps);
    g.logits(g.linear(x, Weight("head", "output").tied_to(kEmbedding.hf), c_.n_vocab));  // (R, V)
  }

 private:
  /// GGUF files hold what a block adds divided by 2 for every `halved_every` layers below.
  Tensor whole(int64_t i, Tensor x) const {
    const int64_t halvings = c_.halved_every > 0 ? i / c_.halved_every : 0;
    return halvings ? x.graph->scale(x, std::ldexp(1.0, static_cast<int>(halvings))) : x;
  }

  Tensor time_mix(Graph& g, int64_t i, Tensor x) const {
    const std::string n = std::to_string(i);
    const Part w{"rwkv.blocks." + n + ".attention.", "blocks." + n + ".att.", "blk." + n + ".time_mix_"};
    const int64_t E = c_.d_model, D = c_.d_head, H = E / D, R = c_.mix_rank;
    const auto row = [&](const Weight& weight) { return g.operand(weight, "", {E}); };
    const Tensor delta = subtract(token_shift(i, "time", x), x);
    const Tensor low = g.unary(
        g.linear(lerp(x, delta, row(w.row("time_maa_x", "lerp_x"))), w.factor("time_maa_w1", "w1"), 5 * R), "tanh");
    // Each of the five is mixed by a row of its own plus a correction of low rank.
    const auto mixed = [&](int64_t which) {
      return lerp(x, delta, g.linear(g.slice(low, which * R, R), correction(w, which), E) + row(mix_row(w, which)));
    };
    const Tensor xw = mixed(0), xk = mixed(1), xv = mixed(2), xr = mixed(3), xg = mixed(4);

    Tensor decay = g.unary(g.linear(xw, w.factor("time_decay_w1", "decay_w1"), c_.decay_rank), "tanh");
    decay = g.linear(decay, w.factor("time_decay_w2", "decay_w2"), E) + row(w.row("time_decay", "decay"));
    decay = g.split_heads(g.unary(g.unary(decay, "exp"), "neg"), H);  // (T, H, D), a logarithm
    const Tensor r = g.split_heads(g.linear(xr, w("receptance", "receptance"), E), H);
    const Tensor k = g.split_heads(g.linear(xk, w("key", "key"), E), H);
    const Tensor v = g.split_heads(g.linear(xv, w("value", "value"), E), H);
    const Tensor gate = g.linear(xg, w("gate", "gate"), E);
    const Tensor u = g.operand(w.row("time_faaaa", "first"), "", {H, D});
    Tensor y = g.merge_heads(wkv6(i, {r, k, v, decay, u}));  // (T, E)
    y = group_norm(y, H, w("ln_x", "ln"), c_.head_eps);
    return whole(i, g.linear(g.glu(gate, y, "silu"), w("output", "output"), E));
  }

  /// The second factors of the five corrections are one tensor [5, R, E], in GGUF [5, E, R].
  static Weight correction(const Part& w, int64_t which) {
    const tn_xform transpose = {TN_X_TRANSPOSE, 0, {1, 2}, 0};
    return Weight(Names{w.hf + "time_maa_w2", w.gguf + "w2.weight"})
        .whole_name()
        .rows(which, 1)
        .hf_step(transpose)
        .step(kFlat)
        .or_named({w.raw + "time_maa_w2", ""})
        .rows(which, 1)
        .hf_step(transpose)
        .step(kFlat);
  }
  /// The rows that the five are mixed by, which GGUF files hold together or, the first ones, each by itself.
  static Weight mix_row(const Part& w, int64_t which) {
    const std::string name(1, "wkvrg"[which]);
    return Weight(Names{w.hf + "time_maa_" + name, w.gguf + "lerp_" + name + ".weight"})
        .whole_name()
        .step(kFlat)
        .or_named({w.raw + "time_maa_" + name, ""})
        .step(kFlat)
        .or_named({"", w.gguf + "lerp_fused.weight"})
        .rows(which, 1)
        .step(kFlat);
  }

  Tensor channel_mix(Graph& g, int64_t i, Tensor x) const {
    const std::string n = std::to_string(i);
    const Part w{"rwkv.blocks." + n + ".feed_forward.", "blocks." + n + ".ffn.", "blk." + n + ".channel_mix_"};
    const Tensor delta = subtract(token_shift(i, "channel", x), x);
    const auto mixed = [&](const Weight& row) { return lerp(x, delta, g.operand(row, "", {c_.d_model})); };
    const Tensor k = g.linear(mixed(w.row("time_maa_k", "lerp_k")), w("key", "key"), c_.d_ff);
    const Tensor r = g.linear(mixed(w.row("time_maa_r", "lerp_r")), w("receptance", "receptance"), c_.d_model);
    const Tensor v = g.linear(g.unary(k, "relu2"), w("value", "value"), c_.d_model);
    return g.glu(r, whole(i, v), "sigmoid");
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("rwkv6", "0.1.0", arch<Rwkv6>({.hf = {"Rwkv6ForCausalLM"}, .model_type = {"rwkv6"}, .gguf = {"rwkv6"}}));
