// mamba: a selective state space model, no attention. Each layer: x += mixer(RMSNorm(x)).
// Mamba 1 in transformers' naming and in its authors', and Falcon-Mamba, which normalises dt, B and C without weights.
// Written from transformers' modeling_mamba.py and modeling_falcon_mamba.py; revision in tests/golden/mamba/SOURCE.md.
// Not here: one decay per head (mamba2), attention between the mixers (jamba).
#include <tenon/blocks/causal_conv.hpp>
#include <tenon/blocks/ssm.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

const Names kEmbedding = {"backbone.embeddings", "token_embd"}, kRawEmbedding = {"backbone.embedding", ""};

/// At least 1, or `fallback` where the file has no such key.
int64_t count(const Meta& m, Key key, int64_t fallback) { return m.has(key) ? m.need_int(key) : fallback; }

struct Config {  // quoted words are config.json's own and GGUF's own; the authors' config has other words than HF's
  explicit Config(const Meta& m)
      : n_layers(either(m, {"num_hidden_layers", "block_count"}, {"n_layer"})),
        d_model(either(m, {"hidden_size", "embedding_length"}, {"d_model"})),
        n_vocab(vocab_rows(m, m.tensor_shape(kRawEmbedding.hf + ".weight").empty() ? kEmbedding : kRawEmbedding)),
        n_ctx(count(m, {nullptr, "context_length"}, int64_t{1} << 20)),
        kernel(count(m, {"conv_kernel", "ssm.conv_kernel"}, count(m, {"ssm_cfg.d_conv"}, 4))),
        d_inner(count(m, {"intermediate_size", "ssm.inner_size"},
                      count(m, {"d_inner"}, d_model * count(m, {"expand"}, count(m, {"ssm_cfg.expand"}, 2))))),
        d_state(count(m, {"state_size", "ssm.state_size"}, count(m, {"ssm_cfg.d_state"}, 16))),
        rank(
            dt_rank(m, {"time_step_rank", "ssm.time_step_rank"}, dt_rank(m, {"ssm_cfg.dt_rank"}, (d_model + 15) / 16))),
        eps(m.get_real({"layer_norm_epsilon", "attention.layer_norm_rms_epsilon"}, 1e-5)),
        act(activation(m, "hidden_act", "silu")),
        conv_bias(bias(m, "use_conv_bias", "ssm_cfg.conv_bias", true)),
        proj_bias(bias(m, "use_bias", "ssm_cfg.bias", false)) {
    norm_dt_b_c =
        m.is_gguf() ? m.get_bool({nullptr, "ssm.dt_b_c_rms"}, false) : m.get_text({"model_type"}, "") == "falcon_mamba";
    mixer_eps = m.get_real({"mixer_rms_eps"}, m.is_gguf() ? eps : 1e-6);
    if (!m.get_bool({"rms_norm"}, true)) throw Refusal("[config] rms_norm is false; layers with LayerNorm are unknown");
    for (const char* key : {"time_step_*", "ssm_cfg.dt_*", "rescale_prenorm_residual", "ssm_cfg.A_init_range"})
      m.ignore({key}, "initialisation");
    for (const char* key : {"use_mambapy", "use_falcon_mambapy", "use_associative_scan", "fused_add_norm",
                            "ssm_cfg.use_fast_path", "residual_in_fp32"})
      m.ignore({key}, "how the reference computes the same");
    m.ignore({"pad_vocab_size_multiple"}, "the stored table says how many rows there are");
    m.ignore({"tie_embeddings"}, "a head that is not stored is tied");
    m.ignore({"ssm_cfg.layer"}, "seen to by match");
  }

  static int64_t either(const Meta& m, Key key, Key raw) {
    const int64_t n = count(m, raw, 0);
    return m.has(key) || n == 0 ? m.need_int(key) : n;
  }
  static int64_t dt_rank(const Meta& m, Key key, int64_t fallback) {
    return m.type(key) == TN_TYPE_STRING && m.find_text(key) == "auto" ? fallback : count(m, key, fallback);
  }
  static Bias bias(const Meta& m, const char* hf_key, const char* raw_key, bool fallback) {
    if (m.is_gguf()) return Bias::if_stored;
    return m.get_bool({hf_key}, m.get_bool({raw_key}, fallback)) ? Bias::required : Bias::none;
  }

  int64_t n_layers, d_model, n_vocab, n_ctx, kernel, d_inner, d_state, rank;
  double eps, mixer_eps = 0;
  std::string act;  // of the convolution; gates are SiLU whatever it says
  Bias conv_bias, proj_bias;
  bool norm_dt_b_c = false;
};

class Mamba final : public Decoder {
 public:
  explicit Mamba(const Meta& m) : c_(m) {}

  /// The authors' class name stands for both generations.
  static int match(const Meta& m) { return m.get_text({"ssm_cfg.layer"}, "Mamba1") == "Mamba1" ? 50 : 0; }

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
    const int64_t E = c_.d_inner, N = c_.d_state, R = c_.rank;
    const Tensor xz = g.linear(x, w("mixer.in_proj", "ssm_in"), 2 * E, c_.proj_bias);  // (T, 2E)
    const Weight conv = Weight(w("mixer.conv1d", "ssm_conv1d")).hf_step(TN_X_RESHAPE);
    const Tensor u = causal_conv1d(g.slice(xz, 0, E), conv, {i, c_.kernel, c_.act, c_.conv_bias});  // (T, E)
    const Tensor p = g.linear(u, w("mixer.x_proj", "ssm_x"), R + 2 * N);                            // (T, R+2N)
    const Tensor b = normed(g, g.slice(p, R, N)), c = normed(g, g.slice(p, R + N, N));
    Tensor dt = g.linear(normed(g, g.slice(p, 0, R)), w("mixer.dt_proj", "ssm_dt"), E, Bias::required);
    dt = g.unary(dt, "softplus");
    const Weight a = Weight(w("mixer.A_log", "ssm_a")).whole_name().hf_step(TN_X_NEG_EXP);
    const Weight d = Weight(w("mixer.D", "ssm_d")).whole_name();
    const Tensor y = ssm_scan(i, {u, dt, b, c}, a, d);  // (T, E)
    return g.linear(g.glu(g.slice(xz, E, E), y, "silu"), w("mixer.out_proj", "ssm_out"), c_.d_model, c_.proj_bias);
  }

  Tensor normed(Graph& g, Tensor x) const { return c_.norm_dt_b_c ? g.rms_norm(x, c_.mixer_eps) : x; }

  Config c_;
};
}  // namespace

TENON_PLUGIN("mamba", "0.1.0",
             arch<Mamba>({.hf = {"MambaForCausalLM", "MambaLMHeadModel", "FalconMambaForCausalLM"},
                          .model_type = {"mamba", "falcon_mamba"},
                          .gguf = {"mamba"}}));
