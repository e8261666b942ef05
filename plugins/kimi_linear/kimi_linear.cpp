// kimi_linear: three layers of a gated delta rule with a decay per channel (KDA) to one of latent attention without
// positions, and a sparse mixture of experts behind each (Kimi Team 2025, arXiv 2510.26692). Kimi-Linear-48B-A3B.
// Written from transformers' modeling_kimi_linear.py and the authors' modeling_kimi.py; revision in
// tests/golden/kimi_linear/SOURCE.md. Not here: rotated or query-compressed latent attention (deepseek).
#include <algorithm>
#include <tenon/blocks/causal_conv.hpp>
#include <tenon/blocks/delta_rule.hpp>
#include <tenon/blocks/experts.hpp>
#include <tenon/blocks/layer_types.hpp>
#include <tenon/blocks/mla.hpp>
#include <tenon/blocks/mlp.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

const Names kEmbedding = {"model.embed_tokens", "token_embd"};

struct Config {  // quoted words are config.json's own and GGUF's own
  explicit Config(const Meta& m)
      : n_layers(m.need_int({"num_hidden_layers", "block_count"})),
        d_model(m.need_int({"hidden_size", "embedding_length"})),
        n_vocab(vocab_rows(m, kEmbedding)),
        n_ctx(m.get_count({"model_max_length", "context_length"}, int64_t{1} << 20)),
        d_ff(m.need_int({"intermediate_size", "feed_forward_length"})),
        eps(m.need_eps({"rms_norm_eps", "attention.layer_norm_rms_epsilon"})),
        act(activation(m, "hidden_act", "silu")),
        full(full_layers(m, n_layers)),
        latent(latent_dims(m)),
        d_head(either(m, {"linear_attn_config.head_dim", "kda.head_dim"}, {"linear_head_dim"})),
        n_heads(m.is_gguf() ? latent.n_heads : either(m, {"linear_attn_config.num_heads"}, {"linear_num_heads"})),
        kernel(either(m, {"linear_attn_config.short_conv_kernel_size", "ssm.conv_kernel"}, {"linear_conv_kernel_dim"})),
        sparse(sparse_layers(m, n_layers)),
        n_experts(expert_count(m, {"num_experts", "expert_count"})),
        n_shared(m.get_int({"num_shared_experts", "expert_shared_count"}, 1)),
        d_expert(m.need_int({"moe_intermediate_size", "expert_feed_forward_length"})),
        routing(route(m, n_experts)) {
    const Key shared = {"num_shared_experts", "expert_shared_count"};
    if (n_shared < 0 || n_shared > 65536) m.refuse_range(shared, std::to_string(n_shared));
    if (!m.get_bool({"mla_use_nope"}, true))
      throw Refusal("[config] mla_use_nope is false; rotations are unknown here");
    m.ignore({"rope_*", "rope.freq_base"}, "nothing is rotated");
    m.ignore({"head_dim", "attention.key_length"}, "each kind of layer has its own");
    m.ignore({"num_key_value_heads", "attention.value_length"}, "each kind of layer has its own");
    m.ignore({"qk_head_dim"}, "the sum of its parts");
    for (const char* key : {"output_router_logits", "pretraining_tp"})
      m.ignore({key}, "for training, or for sharing work");
  }

  /// The published key, or the one that transformers saves in its place.
  static int64_t either(const Meta& m, Key published, Key saved) {
    return m.has(saved) && !m.has(published) ? m.need_int(saved) : m.need_int(published);
  }

  /// By layer of a list of two words: whether it is the first of them.
  static std::vector<bool> layers_that_are(const Meta& m, Key list, const char* word, const char* other,
                                           int64_t n_layers) {
    std::vector<bool> out;
    for (const std::string& type : m.texts(list)) {
      if (type != word && type != other)
        throw Refusal("[config] " + m.name(list) + " holds " + type + ", which is unknown");
      out.push_back(type == word);
    }
    return checked_layers(m, list, out, n_layers);
  }

  /// By layer: whether it is latent attention. Published files count from 1; GGUF gives the other layers no key heads.
  static std::vector<bool> full_layers(const Meta& m, int64_t n_layers) {
    const Key types = {"layer_types"}, full = {"linear_attn_config.full_attn_layers"},
              others = {"linear_attn_config.kda_layers"}, heads = {nullptr, "attention.head_count_kv"};
    const std::vector<int64_t> at = m.ints(full), not_at = m.ints(others);
    if (m.has(types)) return layers_that_are(m, types, "full_attention", "linear_attention", n_layers);
    std::vector<bool> out;
    for (int64_t n : m.ints(heads)) out.push_back(n > 0);
    if (m.is_gguf()) return checked_layers(m, heads, out, n_layers);
    out.resize(static_cast<size_t>(n_layers));
    for (int64_t i = 1; i <= n_layers; ++i) {
      out[static_cast<size_t>(i - 1)] = std::ranges::count(at, i) > 0;
      if (std::ranges::count(at, i) + std::ranges::count(not_at, i) != 1)
        throw Refusal("[config] layer " + std::to_string(i) + " is not in one of " + m.name(full) + " and " +
                      m.name(others));
    }
    return out;
  }

  /// By layer: whether its feed-forward network is one of experts.
  static std::vector<bool> sparse_layers(const Meta& m, int64_t n_layers) {
    const int64_t n_dense = m.get_int({"first_k_dense_replace", "leading_dense_block_count"}, 1);
    const int64_t every = m.get_count({"moe_layer_freq"}, 1);
    const Key types = {"mlp_layer_types"};
    if (m.has(types)) return layers_that_are(m, types, "sparse", "dense", n_layers);
    std::vector<bool> out;
    for (int64_t i = 0; i < n_layers; ++i) out.push_back(i >= n_dense && i % every == 0);
    return out;
  }

  static LatentDims latent_dims(const Meta& m) {
    const bool stated = !m.is_gguf() || m.has({nullptr, "attention.key_length_mla"});  // older files say it otherwise
    const Key key = {"qk_nope_head_dim", stated ? "attention.key_length_mla" : "attention.key_length"};
    const Key value = {"v_head_dim", stated ? "attention.value_length_mla" : "attention.value_length"};
    const int64_t rest = m.need_int({"qk_rope_head_dim", "rope.dimension_count"});
    const int64_t nope = m.need_int(key) - (m.is_gguf() ? rest : 0);
    if (nope < 1) m.refuse_range(key, std::to_string(nope + rest));
    return {m.need_int({"num_attention_heads", "attention.head_count"}), nope, rest, m.need_int(value),
            m.need_int({"kv_lora_rank", "attention.kv_lora_rank"})};
  }

  static Routing route(const Meta& m, int64_t n_experts) {
    const int64_t gating = m.get_int({nullptr, "expert_gating_func"}, 2);
    const Key key = {"moe_router_activation_func", "expert_gating_func"};
    Routing r{.k = experts_used(m, {"num_experts_per_token", "expert_used_count"}, n_experts)};
    r.score = !m.is_gguf() ? m.get_text(key, "sigmoid") : gating == 1 ? "softmax" : gating == 2 ? "sigmoid" : "";
    if (r.score != "sigmoid" && r.score != "softmax")
      m.refuse_range(key, m.is_gguf() ? std::to_string(gating) : r.score);
    r.n_group = m.get_count({"num_expert_group", "expert_group_count"}, 1);
    r.topk_group = m.get_count({"topk_group", "expert_group_used_count"}, 1);
    if (!m.get_bool({"use_grouped_topk"}, true)) r.n_group = r.topk_group = 1;
    r.group_rank = "top2_sum";
    r.renormalise = m.get_bool({"moe_renormalize", "expert_weights_norm"}, true);
    r.scale = m.get_real({"routed_scaling_factor", "expert_weights_scale"}, m.is_gguf() ? 1 : 2.446);
    return r;
  }

  int64_t n_layers, d_model, n_vocab, n_ctx, d_ff;
  double eps;
  std::string act;
  std::vector<bool> full;
  LatentDims latent;
  int64_t d_head, n_heads, kernel;  // of the delta rule
  std::vector<bool> sparse;
  int64_t n_experts, n_shared, d_expert;
  Routing routing;
};

class KimiLinear final : public Decoder {
 public:
  explicit KimiLinear(const Meta& m) : c_(m) {}

  void describe(Graph& g) const override {
    g.model({c_.n_layers, c_.n_vocab, c_.d_model, c_.n_ctx});
    Tensor x = g.embed(kEmbedding, c_.n_vocab, c_.d_model);  // (T, E)
    for (int64_t i = 0; i < c_.n_layers; ++i) {
      g.layer(i);
      const std::string n = std::to_string(i);
      const Scope w{"model.layers." + n + ".", "blk." + n + "."};
      const Tensor h = g.rms_norm(x, w("input_layernorm", "attn_norm"), c_.eps);
      const Tensor y = c_.full[static_cast<size_t>(i)] ? attend(g, i, w, h) : delta_attend(g, i, w, h);
      x = x + g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model);
      x = x + feed_forward(g, i, w, g.rms_norm(x, w("post_attention_layernorm", "ffn_norm"), c_.eps));
    }
    x = g.rms_norm(g.wanted_rows(x), Names{"model.norm", "output_norm"}, c_.eps);
    g.logits(g.linear(x, Weight("lm_head", "output").tied_to(kEmbedding.hf), c_.n_vocab));  // (R, V)
  }

 private:
  Tensor delta_attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    constexpr double kEps = 1e-6;  // of the l2 norms, whatever the file's eps
    constexpr tn_xform kFlat = {TN_X_RESHAPE, 0, {}, 0};
    const int64_t H = c_.n_heads, K = c_.d_head;
    const auto part = [&](const std::string& name) {  // (T, H, K)
      const Weight filter = Weight(w("self_attn." + name + "_conv1d", "ssm_conv1d_" + name)).step(kFlat);
      const Tensor rows = g.linear(x, w("self_attn." + name + "_proj", "attn_" + name), H * K);
      return g.split_heads(causal_conv1d(rows, filter, {i, c_.kernel, "silu", Bias::none, name}), H);
    };
    const auto low_rank = [&](const std::string& name) {  // (T, H * K)
      const Tensor low = g.linear(x, w("self_attn." + name + "_a_proj", "ssm_" + name + "_a"), K);
      return g.linear(low, w("self_attn." + name + "_b_proj", "ssm_" + name + "_b"), H * K);
    };
    const Weight rate = Weight(w("self_attn.A_log", "ssm_a")).whole_name().hf_step(TN_X_NEG_EXP).step(kFlat);
    const Weight shift = Weight(w("self_attn.dt_bias", "ssm_dt.bias")).whole_name().step(kFlat);
    const Tensor step = g.unary(low_rank("f") + g.operand(shift, "", {H * K}), "softplus");
    const Tensor decay = g.split_heads(step, H) * g.operand(rate, "", {H, 1});  // a logarithm
    const Tensor beta = g.unary(g.linear(x, w("self_attn.b_proj", "ssm_beta"), H), "sigmoid");
    const Tensor q = l2_norm(part("q"), kEps), k = l2_norm(part("k"), kEps), v = part("v");
    const Tensor y = gated_delta_rule(i, {q, k, v, decay, beta, 1 / std::sqrt(static_cast<double>(K))});
    return g.glu(g.split_heads(low_rank("g"), H), g.rms_norm(y, w("self_attn.o_norm", "ssm_norm"), c_.eps), "sigmoid");
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    constexpr double kEps = 1e-6;  // of the latent row's norm, whatever the file's eps
    const LatentDims& d = c_.latent;
    const int64_t width = d.nope + d.rotary;
    const Tensor q = g.split_heads(g.linear(x, w("self_attn.q_proj", "attn_q"), d.n_heads * width), d.n_heads);
    const Tensor kept = g.linear(x, w("self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"), d.latent + d.rotary);
    const Weight norm = w("self_attn.kv_a_layernorm", "attn_kv_a_norm");
    const LatentInputs in = latent_inputs(q, kept, norm, kEps, d, [](Tensor pe) { return pe; });
    return mla_attention(i, in, latent_maps(w, d), d, 1 / std::sqrt(static_cast<double>(width)));  // (T, H, V)
  }

  Tensor feed_forward(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const std::string moe = "block_sparse_moe.";
    if (!c_.sparse[static_cast<size_t>(i)]) {  // published as mlp.*, saved again as block_sparse_moe.*
      const auto part = [&](const std::string& name) {
        return Weight(w("mlp." + name + "_proj", "ffn_" + name)).or_named(w(moe + name + "_proj", ""));
      };
      return gated_mlp(x, {part("gate"), part("up"), part("down")}, c_.d_ff, c_.act);
    }
    const auto stack = [&](const std::string& hf, const std::string& gguf) {  // (X, F, E) or (X, E, F)
      return Weight(w(moe + "experts.{e}." + hf, "ffn_" + gguf + "_exps")).experts(c_.n_experts);
    };
    const auto shared = [&](const std::string& name) {
      return w(moe + "shared_experts." + name + "_proj", "ffn_" + name + "_shexp");
    };
    const Tensor scores = g.linear(x, w(moe + "gate", "ffn_gate_inp"), c_.n_experts);  // (T, X)
    const Weight correction = Weight(w(moe + "gate.e_score_correction_bias", "exp_probs_b.bias")).whole_name();
    const Route route = moe_route(scores, g.operand(correction, "", {c_.n_experts}), c_.routing);
    const Tensor y = moe_ffn(x, route, {stack("w1", "gate"), stack("w3", "up"), stack("w2", "down")}, c_.n_experts,
                             c_.d_expert, c_.act);
    if (c_.n_shared == 0) return y;
    return y + gated_mlp(x, {shared("gate"), shared("up"), shared("down")}, c_.n_shared * c_.d_expert, c_.act);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN(
    "kimi_linear", "0.1.0",
    arch<KimiLinear>({.hf = {"KimiLinearForCausalLM"}, .model_type = {"kimi_linear"}, .gguf = {"kimi-linear"}}));
