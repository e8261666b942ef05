// mamba2: a state space model with one decay per head, no attention. Each layer: x += mixer(RMSNorm(x)).
// Mamba 2 in transformers' naming and in its authors'; Codestral-Mamba is one of these.
// Written from transformers' modeling_mamba2.py; revision in tests/golden/mamba2/SOURCE.md.
// Not here: a decay per channel (mamba), attention or feed-forward layers between the mixers.
#include <tenon/blocks/causal_conv.hpp>
#include <tenon/blocks/group_norm.hpp>
#include <tenon/blocks/ssm.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

const Names kEmbedding = {"backbone.embeddings", "token_embd"}, kRawEmbedding = {"backbone.embedding", ""};

struct Config {  // quoted words are config.json's own and GGUF's own; the authors' config has other words than HF's
  explicit Config(const Meta& m)
      : n_layers(either(m, {"num_hidden_layers", "block_count"}, {"n_layer"})),
        d_model(either(m, {"hidden_size", "embedding_length"}, {"d_model"})),
        n_vocab(vocab_rows(m, m.tensor_shape(kRawEmbedding.hf + ".weight").empty() ? kEmbedding : kRawEmbedding)),
        n_ctx(m.get_count({nullptr, "context_length"}, int64_t{1} << 20)),
        kernel(m.get_count({"conv_kernel", "ssm.conv_kernel"}, m.get_count({"ssm_cfg.d_conv"}, 4))),
        d_state(m.get_count({"state_size", "ssm.state_size"}, m.get_count({"ssm_cfg.d_state"}, 128))),
        n_groups(m.get_count({"n_groups", "ssm.group_count"}, m.get_count({"ssm_cfg.ngroups"}, 1))),
        d_inner(inner_width(m, d_model)),
        n_heads(head_count(m, d_inner)),
        eps(m.get_eps({"layer_norm_epsilon", "attention.layer_norm_rms_epsilon"}, 1e-5)),
        act(activation(m, "hidden_act", "silu")),
        conv_bias(bias(m, "use_conv_bias", "ssm_cfg.conv_bias", true)),
        proj_bias(bias(m, "use_bias", "ssm_cfg.bias", false)) {
    const Key groups = {"n_groups", "ssm.group_count"},
              limits = {m.has({"ssm_cfg.dt_limit"}) ? "ssm_cfg.dt_limit" : "time_step_limit"};
    product(m, groups, n_groups, d_state);
    if (n_heads % n_groups != 0)
      m.refuse_range(groups, std::to_string(n_groups) + " groups of " + std::to_string(n_heads) + " heads");
    if (const auto range = m.reals(limits); !range.empty()) {
      if (range.size() != 2 || !(range[0] <= range[1])) m.refuse_range(limits, "no pair that ascends");
      min_step = range[0], max_step = range[1];
    }
    if (!m.get_bool({"rms_norm"}, true)) throw Refusal("[config] rms_norm is false; layers with LayerNorm are unknown");
    for (const char* key : {"time_step_*", "ssm_cfg.dt_*", "ssm_cfg.A_init_range", "rescale_prenorm_residual"})
      m.ignore({key}, "initialisation");
    for (const char* key : {"chunk_size", "ssm_cfg.chunk_size", "residual_in_fp32", "fused_add_norm"})
      m.ignore({key}, "how the reference computes the same");
    m.ignore({"norm_before_gate"}, "the reference gates first whatever it says");
    m.ignore({"intermediate_size"}, "heads times their width");
    m.ignore({"pad_vocab_size_multiple"}, "the stored table says how many rows there are");
    m.ignore({"tie_embeddings"}, "a head that is not stored is tied");
    m.ignore({"ssm_cfg.layer"}, "seen to by match");
  }

  static int64_t either(const Meta& m, Key key, Key raw) { return m.has(raw) ? m.need_int(raw) : m.need_int(key); }
  /// Heads times their width, which is also `expand` times the model's.
  static int64_t inner_width(const Meta& m, int64_t d_model) {
    if (m.is_gguf()) return m.need_int({nullptr, "ssm.inner_size"});
    const Key expand = {m.has({"expand"}) ? "expand" : "ssm_cfg.expand"};
    const int64_t d_inner = product(m, expand, m.get_count(expand, 2), d_model);
    const int64_t d_head = m.get_count({"head_dim"}, m.get_count({"ssm_cfg.headdim"}, 64));
    if (m.get_count({"num_heads"}, d_inner / d_head) * d_head != d_inner)
      m.refuse_range({"num_heads"}, "times head_dim not " + std::to_string(d_inner));
    return d_inner;
  }
  static int64_t product(const Meta& m, Key key, int64_t a, int64_t b) {
    return a * b > INT32_MAX ? m.refuse_range(key, std::to_string(a) + " times " + std::to_string(b)) : a * b;
  }
  static int64_t head_count(const Meta& m, int64_t d_inner) {
    const Key stated = {"num_heads", "ssm.time_step_rank"};
    const int64_t heads = m.get_count(stated, d_inner / m.get_count({"ssm_cfg.headdim"}, 64));
    if (heads < 1 || d_inner % heads != 0)
      m.refuse_range(stated, std::to_string(heads) + " of " + std::to_string(d_inner));
    return heads;
  }
  static Bias bias(const Meta& m, const char* hf_key, const char* raw_key, bool fallback) {
    if (m.is_gguf()) return Bias::if_stored;
    return m.get_bool({hf_key}, m.get_bool({raw_key}, fallback)) ? Bias::required : Bias::none;
  }

  int64_t n_layers, d_model, n_vocab, n_ctx, kernel, d_state, n_groups, d_inner, n_heads;
  double eps, min_step = 0, max_step = HUGE_VAL;
  std::string act;  // of the convolution; gates are SiLU whatever it says
  Bias conv_bias, proj_bias;
};

class Mamba2 final : public Decoder {
 public:
  explicit Mamba2(const Meta& m) : c_(m) {}

  /// The authors' class name stands for both generations.
  static int match(const Meta& m) {
    return m.has({"d_model"}) && m.get_text({"ssm_cfg.layer"}, "Mamba1") != "Mamba2" ? 0 : 50;
  }

  void describe(Graph& g) const override {
    g.model({c_.n_layers, c_.n_vocab, c_.d_model, c_.n_ctx});
    Tensor x = g.embed(Weight(kEmbedding).or_named(kRawEmbedding), c_.n_vocab, c_.d_model);  // (T, E)
    for (int64_t i = 0; i < c_.n_layers; ++i) {
      g.layer(i);
      const std::string n = std::to_string(i);
      const Scope w{"backbone.layers." + n + ".", "blk." + n + "."};
      x = x + mixer(g, i, w, g.rms_norm(x, w("norm", "attn_norm"), c_.eps));
    }
    x = g.rms_norm(g.wanted_rows(x), {"backbone.norm_f", "output_norm"}, c_.eps);
    g.logits(g.linear(x, Weight("lm_head", "output").tied_to(kEmbedding.hf), c_.n_vocab));  // (R, V)
  }

 private:
  Tensor mixer(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t E = c_.d_inner, H = c_.n_heads, G = c_.n_groups, N = c_.d_state;
    const tn_xform flat = {TN_X_RESHAPE, 0, {}, 0};
    const Tensor zxbcdt = g.linear(x, w("mixer.in_proj", "ssm_in"), 2 * E + 2 * G * N + H, c_.proj_bias);
    const Weight conv = Weight(w("mixer.conv1d", "ssm_conv1d")).hf_step(flat);
    const Tensor xbc = causal_conv1d(g.slice(zxbcdt, E, E + 2 * G * N), conv, {i, c_.kernel, c_.act, c_.conv_bias});
    const Tensor u = g.split_heads(g.slice(xbc, 0, E), H);      // (T, H, P)
    const Tensor b = g.split_heads(g.slice(xbc, E, G * N), G);  // (T, G, N)
    const Tensor c = g.split_heads(g.slice(xbc, E + G * N, G * N), G);
    const Weight dt_bias = Weight(w("mixer.dt_bias", "ssm_dt.bias")).whole_name();
    Tensor dt = g.unary(g.slice(zxbcdt, 2 * E + 2 * G * N, H) + g.operand(dt_bias, "", {H}), "softplus");  // (T, H)
    if (c_.min_step > 0 || c_.max_step < HUGE_VAL) dt = g.clamp(dt, c_.min_step, c_.max_step);
    const Weight a = Weight(w("mixer.A_log", "ssm_a")).whole_name().hf_step(TN_X_NEG_EXP).step(flat);
    const Weight d = Weight(w("mixer.D", "ssm_d")).whole_name().step(flat);
    Tensor y = g.merge_heads(ssd_scan(i, {u, dt, b, c}, a, d));  // (T, E)
    y = g.glu(g.slice(zxbcdt, 0, E), y, "silu");
    y = group_rms_norm(y, G, Weight(w("mixer.norm", "ssm_norm")).step(flat), c_.eps);
    return g.linear(y, w("mixer.out_proj", "ssm_out"), c_.d_model, c_.proj_bias);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN(
    "mamba2", "0.1.0",
    arch<Mamba2>({.hf = {"Mamba2ForCausalLM", "MambaLMHeadModel"}, .model_type = {"mamba2"}, .gguf = {"mamba2"}}));
