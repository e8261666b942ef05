// deepseek: many small experts beside shared ones (DeepSeek-AI 2024), behind llama's attention (V1) or latent attention
// (V2, V3). DeepSeek V1 MoE; V2, V2-Lite, V2.5, Coder-V2; V3, V3.1, R1; Kimi-K2 and K2.5 (text); Moonlight.
// Written from transformers' modeling_deepseek_v2.py and modeling_deepseek_v3.py (tests/golden/deepseek/SOURCE.md), V1
// from arXiv 2401.06066. Not here: an indexer's sparse attention (V3.2), multi-token prediction (layers are skipped).
#include <tenon/blocks/dims.hpp>
#include <tenon/blocks/expert_stacks.hpp>
#include <tenon/blocks/mla.hpp>
#include <tenon/blocks/mlp.hpp>
#include <tenon/blocks/rope.hpp>
#include <tenon/blocks/text_part.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

struct Config : Dims {  // quoted words are config.json's own and GGUF's own
  Config(const Meta& m, const TextNames& n)
      : Dims(m, embedding(n)),
        names(n),
        n_predicting(m.get_int({"num_nextn_predict_layers", "nextn_predict_layers"}, 0)),
        n_experts(expert_count(m, {"n_routed_experts", "expert_count"})),
        n_used(experts_used(m, {"num_experts_per_tok", "expert_used_count"}, n_experts)),
        n_shared(m.get_int({"n_shared_experts", "expert_shared_count"}, 0)),
        n_dense(m.get_int({"first_k_dense_replace", "leading_dense_block_count"}, 0)),
        sparse_every(m.get_count({"moe_layer_freq"}, 1)),
        d_ff(m.need_int({"intermediate_size", "feed_forward_length"})),
        d_expert(m.need_int({"moe_intermediate_size", "expert_feed_forward_length"})),
        eps(m.need_eps({"rms_norm_eps", "attention.layer_norm_rms_epsilon"})),
        act(activation(m, "hidden_act", "silu")),
        bias(bias_flag(m, "attention_bias")),
        mlp_bias(bias_flag(m, "mlp_bias")),
        stacks(m, n_layers, {n_experts, d_model, d_expert},
               {"mlp.experts.{e}.gate_proj", "mlp.experts.{e}.up_proj", "mlp.experts.{e}.down_proj"}) {
    if (m.is_gguf()) n_layers -= n_predicting;
    if (n_predicting < 0 || n_predicting > 64 || n_layers < 1)
      m.refuse_range({"num_nextn_predict_layers", "nextn_predict_layers"}, std::to_string(n_predicting));
    if (n_shared < 0 || n_shared > 65536)
      m.refuse_range({"n_shared_experts", "expert_shared_count"}, std::to_string(n_shared));
    for (const char* key : {"aux_loss_alpha", "seq_aux", "output_router_logits", "ep_size", "pretraining_tp"})
      m.ignore({key}, "for training, or for sharing out work");
  }
  static Names embedding(const TextNames& n) { return {n.body + "embed_tokens", "token_embd"}; }
  TextNames names;
  int64_t n_predicting, n_experts, n_used, n_shared, n_dense, sparse_every, d_ff, d_expert;
  double eps;
  std::string act;
  Bias bias, mlp_bias;
  ExpertStacks stacks;
};

/// V1: llama's attention; a softmax over all experts gives the weights.
struct GroupedQuery {
  GroupedQuery(const Meta& m, const Config& c)
      : rope(m, c.d_head),
        routing{.k = c.n_used,
                .renormalise = m.get_bool({"norm_topk_prob", "expert_weights_norm"}, false),
                .scale = m.get_real({nullptr, "expert_weights_scale"}, 1)} {
    m.ignore({"scoring_func", "expert_gating_func"}, "softmax is the only one");
  }

  Tensor operator()(Graph& g, const Config& c, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c.n_heads, G = c.n_kv_heads, D = c.d_head;
    Tensor q = g.linear(x, Weight(w("self_attn.q_proj", "attn_q")).rope_rows(H), H * D, c.bias);  // (T, H*D)
    Tensor k = g.linear(x, Weight(w("self_attn.k_proj", "attn_k")).rope_rows(G), G * D, c.bias);  // (T, G*D)
    Tensor v = g.linear(x, w("self_attn.v_proj", "attn_v"), G * c.d_value, c.bias);
    q = rope(g.split_heads(q, H)), k = rope(g.split_heads(k, G));  // (T, H, D), (T, G, D)
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c.d_value});
    return g.attention(cache, q, k, g.split_heads(v, G), 1 / std::sqrt(static_cast<double>(D)));
  }

  Rope rope;
  Routing routing;
};

/// V2 and V3: latent attention. V2 scores by softmax and ranks groups by their best expert; V3 by sigmoid and the two
/// best, with a bias for the choice alone.
struct Latent {
  Latent(const Meta& m, const Config& c)
      : q_rank(m.get_count({"q_lora_rank", "attention.q_lora_rank"}, 0)),
        dims(widths(m, c)),
        rope(m, dims.rotary),
        routing(route(m, c)) {
    if (m.get_bool({"rope_interleave"}, true)) rope = rope.interleaved();
    const Key all_dim = {"rope_parameters.mscale_all_dim", "rope.scaling.yarn_log_multiplier"};
    double mscale = m.get_real(all_dim, m.get_real({"rope_scaling.mscale_all_dim"}, 0));
    if (m.is_gguf() && mscale != 0) mscale *= 10, rope = rope.with_magnitude(1);  // 0.1 of it, and mscale is the same
    const double temperature = mscale == 0 ? 1 : yarn_temperature(rope.factor(), mscale);
    scale = temperature * temperature / std::sqrt(static_cast<double>(dims.nope + dims.rotary));
    m.ignore({"qk_head_dim"}, "the sum of its parts");
  }

  /// GGUF files without *_mla keys state the widths of a head as other architectures do.
  static LatentDims widths(const Meta& m, const Config& c) {
    const Key key = {"qk_nope_head_dim", "attention.key_length_mla"};
    const Key value = {"v_head_dim", "attention.value_length_mla"};
    const bool legacy = m.is_gguf() && !m.has(key);
    const int64_t rotary = m.need_int({"qk_rope_head_dim", "rope.dimension_count"});
    const int64_t nope = (legacy ? c.d_head : m.need_int(key)) - (m.is_gguf() ? rotary : 0);
    if (nope < 1) m.refuse_range(key, std::to_string(nope + rotary));
    return {c.n_heads, nope, rotary, legacy ? c.d_value : m.need_int(value),
            m.need_int({"kv_lora_rank", "attention.kv_lora_rank"})};
  }

  static Routing route(const Meta& m, const Config& c) {
    const bool v2 = m.get_text({"model_type"}, "") == "deepseek_v2", v3 = !v2 && !m.is_gguf();  // by config.json's word
    const int64_t gating = m.get_int({nullptr, "expert_gating_func"}, 1);
    const std::string stated = m.get_text({"scoring_func"}, v3 ? "sigmoid" : "softmax");
    Routing r{.k = c.n_used, .score = !m.is_gguf() ? stated : gating == 1 ? "softmax" : gating == 2 ? "sigmoid" : ""};
    const bool sigmoid = r.score == "sigmoid";
    if (!sigmoid && r.score != "softmax")
      m.refuse_range({"scoring_func", "expert_gating_func"}, m.is_gguf() ? std::to_string(gating) : stated);
    r.n_group = m.get_count({"n_group", "expert_group_count"}, v3 ? 8 : 1);
    r.topk_group = m.get_count({"topk_group", "expert_group_used_count"}, v3 ? 4 : r.n_group);
    if (m.get_text({"topk_method"}, v2 ? "greedy" : "noaux_tc") == "greedy") r.n_group = r.topk_group = 1;
    r.group_rank = sigmoid ? "top2_sum" : "max";
    r.renormalise = m.get_bool({"norm_topk_prob", "expert_weights_norm"}, sigmoid) && !v2;  // V2's code has no such key
    r.scale = m.get_real({"routed_scaling_factor", "expert_weights_scale"}, v3 ? 2.5 : 1);
    return r;
  }

  Tensor operator()(Graph& g, const Config& c, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c.n_heads, N = dims.nope, R = dims.rotary, L = dims.latent;
    constexpr double kEps = 1e-6;  // of the norms here, whatever the file's eps
    Tensor from = x;
    Weight by = w("self_attn.q_proj", "attn_q");
    if (q_rank > 0) {
      from = g.linear(x, w("self_attn.q_a_proj", "attn_q_a"), q_rank, c.bias);  // (T, q_rank)
      from = g.rms_norm(from, w("self_attn.q_a_layernorm", "attn_q_a_norm"), kEps);
      by = w("self_attn.q_b_proj", "attn_q_b");
    }
    const Tensor q = g.split_heads(g.linear(from, by, H * (N + R)), H);  // (T, H, N + R)
    const Tensor kept = g.linear(x, w("self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"), L + R, c.bias);  // (T, L + R)
    const Weight norm = w("self_attn.kv_a_layernorm", "attn_kv_a_norm");
    const LatentInputs in = latent_inputs(q, kept, norm, kEps, dims, [&](Tensor pe) { return rope(pe); });
    return mla_attention(i, in, latent_maps(w, dims), dims, scale);  // (T, H, V)
  }

  int64_t q_rank;
  LatentDims dims;
  Rope rope;
  Routing routing;
  double scale = 1;
};

template <typename Attention>
class DeepSeek final : public Decoder {
 public:
  explicit DeepSeek(const Meta& m) : c_(text_part(m), text_names(m)), attend_(text_part(m), c_) {}

  void describe(Graph& g) const override {
    const Names embedding = Config::embedding(c_.names);
    const std::string layers = c_.names.body + "layers.";
    g.model(c_.model());
    g.ignore_tensors({layers + "*.self_attn.rotary_emb.inv_freq", ""}, "computed from rope_theta");
    for (int64_t i = c_.n_layers; i < c_.n_layers + c_.n_predicting; ++i)
      g.ignore_tensors({layers + std::to_string(i) + ".*", "blk." + std::to_string(i) + ".*"}, "predicts more tokens");
    ignore_other_modalities(g);
    Tensor x = g.embed(embedding, c_.n_vocab, c_.d_model);  // (T, E)
    for (int64_t i = 0; i < c_.n_layers; ++i) x = layer(g, i, x);
    x = g.rms_norm(g.wanted_rows(x), Names{c_.names.body + "norm", "output_norm"}, c_.eps);
    g.logits(g.linear(x, Weight(Names{c_.names.head, "output"}).tied_to(embedding.hf), c_.n_vocab));  // (R, V)
  }

 private:
  Tensor layer(Graph& g, int64_t i, Tensor x) const {
    g.layer(i);
    const std::string n = std::to_string(i);
    const Scope w{c_.names.body + "layers." + n + ".", "blk." + n + "."};
    const Tensor y = attend_(g, c_, i, w, g.rms_norm(x, w("input_layernorm", "attn_norm"), c_.eps));
    x = x + g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model, c_.bias);
    const Tensor h = g.rms_norm(x, w("post_attention_layernorm", "ffn_norm"), c_.eps);
    if (i < c_.n_dense || i % c_.sparse_every != 0) return x + mlp(h, w, "", "", c_.d_ff);
    x = x + experts(g, w, h);
    return c_.n_shared == 0 ? x : x + mlp(h, w, "shared_experts.", "_shexp", c_.n_shared * c_.d_expert);
  }

  Tensor mlp(Tensor x, const Scope& w, const std::string& hf, const std::string& gguf, int64_t d_ff) const {
    const auto part = [&](const std::string& name) { return w("mlp." + hf + name + "_proj", "ffn_" + name + gguf); };
    return gated_mlp(x, {part("gate"), part("up"), part("down")}, d_ff, c_.act, c_.mlp_bias);
  }

  Tensor experts(Graph& g, const Scope& w, Tensor x) const {
    const Tensor scores = g.linear(x, w("mlp.gate", "ffn_gate_inp"), c_.n_experts);  // (T, X)
    const auto correction = Weight(w("mlp.gate.e_score_correction_bias", "exp_probs_b.bias")).whole_name();
    const Tensor bias = g.operand(correction, "", {c_.n_experts}, attend_.routing.score != "sigmoid");
    return moe_ffn(x, moe_route(scores, bias, attend_.routing), c_.stacks(w), c_.n_experts, c_.d_expert, c_.act);
  }

  Config c_;
  Attention attend_;
};
}  // namespace

TENON_PLUGIN(
    "deepseek", "0.1.0",
    arch<DeepSeek<Latent>>({.hf = {"DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM", "KimiK25ForConditionalGeneration"},
                            .model_type = {"deepseek_v2", "deepseek_v3", "kimi_k2", "kimi_k25"},
                            .gguf = {"deepseek2"}}),
    arch<DeepSeek<GroupedQuery>>({.hf = {"DeepseekForCausalLM"}, .model_type = {"deepseek"}, .gguf = {"deepseek"}}));
