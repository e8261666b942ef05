// minimax_m2: many experts chosen by sigmoid scores with a bias for the choice alone, RMSNorm over all query heads
// together and all key heads together, half of each head rotated (MiniMax 2025). MiniMax-M2, M2.1, M2.5, M2.7. Written
// from transformers' modeling_minimax_m2.py; revision in tests/golden/minimax_m2/SOURCE.md. Not here: lightning
// attention (MiniMax-01), multi-token prediction (its layers are skipped), sparse attention (M3).
#include <tenon/blocks/dims.hpp>
#include <tenon/blocks/expert_stacks.hpp>
#include <tenon/blocks/rope.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

const Names kEmbedding = {"model.embed_tokens", "token_embd"};

struct Config : Dims {  // quoted words are config.json's own and GGUF's own
  explicit Config(const Meta& m)
      : Dims(m, kEmbedding, 128),
        n_predicting(m.get_int({"num_mtp_modules", "nextn_predict_layers"}, 0)),
        n_experts(expert_count(m, {"num_local_experts", "expert_count"})),
        n_used(experts_used(m, {"num_experts_per_tok", "expert_used_count"}, n_experts)),
        d_expert(m.get_count({nullptr, "expert_feed_forward_length"},
                             m.need_int({"intermediate_size", "feed_forward_length"}))),
        eps(m.need_eps({"rms_norm_eps", "attention.layer_norm_rms_epsilon"})),
        act(activation(m, "hidden_act", "silu")),
        rope(m, d_head, 5e6, static_cast<double>(m.get_count({"rotary_dim"}, d_head)) / static_cast<double>(d_head)),
        routing{.k = n_used,
                .score = "sigmoid",
                .renormalise = m.get_bool({nullptr, "expert_weights_norm"}, true),
                .scale = m.get_real({nullptr, "expert_weights_scale"}, 1)},
        stacks(
            m, n_layers, {n_experts, d_model, d_expert},
            {"block_sparse_moe.experts.{e}.w1", "block_sparse_moe.experts.{e}.w3", "block_sparse_moe.experts.{e}.w2"}) {
    if (m.is_gguf()) n_layers -= n_predicting;
    if (n_predicting < 0 || n_predicting > 64 || n_layers < 1)
      m.refuse_range({"num_mtp_modules", "nextn_predict_layers"}, std::to_string(n_predicting));
    if (const std::string score = m.get_text({"scoring_func"}, "sigmoid"); score != "sigmoid")
      m.refuse_range({"scoring_func"}, score);
    if (const int64_t gating = m.get_int({nullptr, "expert_gating_func"}, 2); gating != 2)
      m.refuse_range({nullptr, "expert_gating_func"}, std::to_string(gating));
    for (int64_t type : m.ints({"attn_type_list"}))
      if (type != 1) m.refuse_range({"attn_type_list"}, std::to_string(type));
    for (const char* key : {"router_aux_loss_coef", "router_jitter_noise", "output_router_logits"})
      m.ignore({key}, "training only");
    for (const char* key : {"use_mtp", "mtp_transformer_layers"}) m.ignore({key}, "of layers that are skipped");
    for (const char* key : {"use_qk_norm", "qk_norm_type", "use_routing_bias", "shared_*", "mlp_intermediate_size",
                            "layernorm_*_beta", "sliding_window"})
      m.ignore({key}, "the reference has one form of it, or none");
  }
  int64_t n_predicting, n_experts, n_used, d_expert;
  double eps;
  std::string act;
  Rope rope;
  Routing routing;
  ExpertStacks stacks;
};

class MiniMaxM2 final : public Decoder {
 public:
  explicit MiniMaxM2(const Meta& m) : c_(m) {}

  void describe(Graph& g) const override {
    g.model(c_.model());
    for (int64_t i = c_.n_layers; i < c_.n_layers + c_.n_predicting; ++i) {
      const std::string n = std::to_string(i);
      g.ignore_tensors({"model.layers." + n + ".*", "blk." + n + ".*"}, "predicts more tokens");
    }
    Tensor x = g.embed(kEmbedding, c_.n_vocab, c_.d_model);  // (T, E)
    for (int64_t i = 0; i < c_.n_layers; ++i) x = layer(g, i, x);
    x = g.rms_norm(g.wanted_rows(x), {"model.norm", "output_norm"}, c_.eps);
    g.logits(g.linear(x, Weight("lm_head", "output").tied_to(kEmbedding.hf), c_.n_vocab));  // (R, V)
  }

 private:
  Tensor layer(Graph& g, int64_t i, Tensor x) const {
    g.layer(i);
    const std::string n = std::to_string(i);
    const Scope w{"model.layers." + n + ".", "blk." + n + "."};
    x = x + attend(g, i, w, g.rms_norm(x, w("input_layernorm", "attn_norm"), c_.eps));
    return x + experts(g, w, g.rms_norm(x, w("post_attention_layernorm", "ffn_norm"), c_.eps));
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    Tensor q = g.linear(x, w("self_attn.q_proj", "attn_q"), H * D);  // (T, H*D)
    Tensor k = g.linear(x, w("self_attn.k_proj", "attn_k"), G * D);  // (T, G*D)
    Tensor v = g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value);
    q = g.rms_norm(q, w("self_attn.q_norm", "attn_q_norm"), c_.eps);
    k = g.rms_norm(k, w("self_attn.k_norm", "attn_k_norm"), c_.eps);
    q = c_.rope(g.split_heads(q, H));  // (T, H, D)
    k = c_.rope(g.split_heads(k, G));
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c_.d_value});
    const Tensor y = g.attention(cache, q, k, g.split_heads(v, G), 1 / std::sqrt(static_cast<double>(D)));
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model);
  }

  Tensor experts(Graph& g, const Scope& w, Tensor x) const {
    const Weight router = Weight(w("block_sparse_moe.gate", "ffn_gate_inp")).or_named(w("mlp.gate", ""));
    const Tensor scores = g.linear(x, router, c_.n_experts);  // (T, X)
    const auto correction = Weight(w("block_sparse_moe.e_score_correction_bias", "exp_probs_b.bias"))
                                .or_named(w("mlp.e_score_correction_bias", ""))
                                .whole_name();
    const Route route = moe_route(scores, g.operand(correction, "", {c_.n_experts}), c_.routing);
    return moe_ffn(x, route, c_.stacks(w), c_.n_experts, c_.d_expert, c_.act);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("minimax_m2", "0.1.0",
             arch<MiniMaxM2>({.hf = {"MiniMaxM2ForCausalLM"}, .model_type = {"minimax_m2"}, .gguf = {"minimax-m2"}}));
