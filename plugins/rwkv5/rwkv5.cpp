// rwkv5 ("Eagle"): no attention; a matrix per head that fades at a fixed pace, and mixing with the token before.
// Each layer: x += time_mix(LN(x)); x += channel_mix(LN(x)). The embedding has a LayerNorm of its own.
// Written from the Eagle and Finch paper (Peng et al. 2024) and the author's rwkv package; revision in
// tests/golden/rwkv5/SOURCE.md. Not here: decays by token and low-rank mixing (rwkv6), the delta rule (rwkv7).
#include <tenon/blocks/group_norm.hpp>
#include <tenon/blocks/rwkv.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

const Names kEmbedding = {"rwkv.embeddings", "token_embd"}, kRawEmbedding = {"emb", ""};
constexpr tn_xform kFlat = {TN_X_RESHAPE, 0, {}, 0};

/// Weights of one half of a block: names in the published checkpoints, in the author's files, and in GGUF.
struct Part {
  std::string hf, raw, gguf;

  Weight operator()(const std::string& name, const std::string& gguf_name) const {
    return Weight(Names{hf + name, gguf + gguf_name}).or_named({raw + name, ""});
  }
  /// How much of the token before is mixed in. Checkpoints hold the share of the token itself, and spell it in two
  /// ways.
  Weight mix(const std::string& name) const {
    const tn_xform negate = {TN_X_SCALE, 0, {}, -1}, from_one = {TN_X_ADD, 0, {}, 1};
    const std::string letter = name.substr(0, 1);
    return Weight(Names{hf + "time_mix_" + name, gguf + "lerp_" + letter + ".weight"})
        .whole_name()
        .step(kFlat)
        .hf_step(negate)
        .hf_step(from_one)
        .or_named({raw + "time_mix_" + letter, ""})
        .hf_step(kFlat)
        .hf_step(negate)
        .hf_step(from_one);
  }
  /// A value per key channel, [H, D]; `step` makes it what the wkv op wants.
  Weight per_channel(const std::string& name, const std::string& gguf_name, const tn_xform& step) const {
    return Weight(Names{hf + name, gguf + gguf_name + ".weight"})
        .whole_name()
        .step(step)
        .or_named({raw + name, ""})
        .step(step);
  }
};

struct Config {  // quoted words are config.json's own and GGUF's own
  explicit Config(const Meta& m)
      : n_layers(m.need_int({"num_hidden_layers", "block_count"})),
        d_model(m.need_int({"hidden_size", "embedding_length"})),
        d_head(m.get_count({"head_size", "wkv.head_size"}, 64)),
        n_vocab(vocab_rows(m, m.tensor_shape("emb.weight").empty() ? kEmbedding : kRawEmbedding)),
        n_ctx(m.get_count({nullptr, "context_length"}, int64_t{1} << 20)),
        d_ff(hidden_width(m)),
        eps(m.get_eps({"layer_norm_epsilon", "attention.layer_norm_epsilon"}, 1e-5)),
        head_eps(1e-5 * std::pow(m.get_positive({"head_size_divisor"}, 8), 2)) {
    const Key heads = {"head_size", "wkv.head_size"};
    if (d_model % d_head != 0) m.refuse_range(heads, std::to_string(d_head) + " of " + std::to_string(d_model));
    m.ignore({"intermediate_size", "feed_forward_length"}, "the stored shapes say it");
    for (const char* key : {"attention_hidden_size", "num_attention_heads"}) m.ignore({key}, "heads of head_size");
    m.ignore({"rescale_every"}, "for half precision; the stored weights are whole");
    m.ignore({"context_length"}, "trained with; nothing depends on the position");
    m.ignore({"model_version"}, "of the remote code");
  }

  static int64_t hidden_width(const Meta& m) {
    for (const char* name :
         {"rwkv.blocks.0.feed_forward.key.weight", "blocks.0.ffn.key.weight", "blk.0.channel_mix_key.weight"})
      if (const auto shape = m.tensor_shape(name); shape.size() == 2) return shape[0];
    throw Refusal("[tensors] feed_forward.key.weight of block 0 is missing or no matrix");
  }

  int64_t n_layers, d_model, d_head, n_vocab, n_ctx, d_ff;
  double eps, head_eps;
};

class Rwkv5 final : public Decoder {
 public:
  explicit Rwkv5(const Meta& m) : c_(m) {}

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
  Tensor time_mix(Graph& g, int64_t i, Tensor x) const {
    const std::string n = std::to_string(i);
    const Part w{"rwkv.blocks." + n + ".attention.", "blocks." + n + ".att.", "blk." + n + ".time_mix_"};
    const int64_t E = c_.d_model, D = c_.d_head, H = E / D;
    const Tensor delta = subtract(token_shift(i, "time", x), x);
    const auto project = [&](const char* name) {  // (T, E), of the row mixed for it
      return g.linear(lerp(x, delta, g.operand(w.mix(name), "", {E})), w(name, name), E);
    };
    const Tensor r = g.split_heads(project("receptance"), H), k = g.split_heads(project("key"), H);
    const Tensor v = g.split_heads(project("value"), H), gate = project("gate");
    const Tensor decay = g.operand(w.per_channel("time_decay", "decay", {TN_X_NEG_EXP, 0, {}, 0}), "", {H, D});
    const Tensor u = g.operand(w.per_channel("time_faaaa", "first", kFlat), "", {H, D});
    Tensor y = g.merge_heads(wkv6(i, {r, k, v, decay, u}));  // (T, E)
    y = group_norm(y, H, w("ln_x", "ln"), c_.head_eps);
    return g.linear(g.glu(gate, y, "silu"), w("output", "output"), E);
  }

  Tensor channel_mix(Graph& g, int64_t i, Tensor x) const {
    const std::string n = std::to_string(i);
    const Part w{"rwkv.blocks." + n + ".feed_forward.", "blocks." + n + ".ffn.", "blk." + n + ".channel_mix_"};
    const Tensor delta = subtract(token_shift(i, "channel", x), x);
    const auto mixed = [&](const char* name) { return lerp(x, delta, g.operand(w.mix(name), "", {c_.d_model})); };
    const Tensor k = g.linear(mixed("key"), w("key", "key"), c_.d_ff);
    const Tensor r = g.linear(mixed("receptance"), w("receptance", "receptance"), c_.d_model);
    return g.glu(r, g.linear(g.unary(k, "relu2"), w("value", "value"), c_.d_model), "sigmoid");
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("rwkv5", "0.1.0", arch<Rwkv5>({.hf = {"Rwkv5ForCausalLM"}, .model_type = {"rwkv5"}, .gguf = {"rwkv5"}}));
