// qwen3_moe: qwen3's attention, with a sparse mixture of many small experts in most layers (Yang et al. 2025).
// Qwen3-30B-A3B, Qwen3-235B-A22B, Qwen3-Coder.
// Written from transformers' modeling_qwen3_moe.py; revision in tests/golden/qwen3_moe/SOURCE.md.
// Not here: a shared expert (qwen2_moe), linear attention (Qwen3-Next).
#include <tenon/blocks/dims.hpp>
#include <tenon/blocks/expert_stacks.hpp>
#include <tenon/blocks/mlp.hpp>
#include <tenon/blocks/rope.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

const Names kEmbedding = {"model.embed_tokens", "token_embd"};

/// transformers 5 has renamed it.
Key expert_count_key(const Meta& m) {
  return {m.has({"num_local_experts"}) ? "num_local_experts" : "num_experts", "expert_count"};
}

struct Config : Dims {  // quoted words are config.json's own and GGUF's own
  explicit Config(const Meta& m)
      : Dims(m, kEmbedding),
        n_experts(expert_count(m, expert_count_key(m))),
        n_used(experts_used(m, {"num_experts_per_tok", "expert_used_count"}, n_experts)),
        d_ff(m.need_int({"intermediate_size", "feed_forward_length"})),
        d_expert(
            m.get_count({"moe_intermediate_size", "expert_feed_forward_length"}, m.is_gguf() ? d_ff / n_used : 768)),
        window(m.get_window({"sliding_window", "attention.sliding_window"})),
        eps(m.need_eps({"rms_norm_eps", "attention.layer_norm_rms_epsilon"})),
        act(activation(m, "hidden_act", "silu")),
        attention_bias(bias_flag(m, "attention_bias")),
        rope(m, d_head),
        routing{.k = n_used,
                .renormalise = m.get_bool({"norm_topk_prob", "expert_weights_norm"}, m.is_gguf()),
                .scale = m.get_real({nullptr, "expert_weights_scale"}, 1)},
        stacks(m, n_layers, {n_experts, d_model, d_expert},
               {"mlp.experts.{e}.gate_proj", "mlp.experts.{e}.up_proj", "mlp.experts.{e}.down_proj"}) {
    if (!m.get_bool({"use_sliding_window"}, m.is_gguf())) window = 0;
    for (int64_t i = 0; i < n_layers; ++i) {
      const std::string n = std::to_string(i);
      const std::string router = m.is_gguf() ? "blk." + n + ".ffn_gate_inp" : "model.layers." + n + ".mlp.gate";
      sparse.push_back(!m.tensor_shape(router + ".weight").empty());
    }
    for (const char* key : {"mlp_only_layers", "decoder_sparse_step"}) m.ignore({key}, "seen from the layers' tensors");
    for (const char* key : {"router_aux_loss_coef", "output_router_logits"}) m.ignore({key}, "training only");
    m.ignore({"max_window_layers"}, "a window is every layer's");
  }
  int64_t n_experts, n_used, d_ff, d_expert, window;
  double eps;
  std::string act;
  Bias attention_bias;
  Rope rope;
  Routing routing;
  ExpertStacks stacks;
  std::vector<bool> sparse;
};

class Qwen3Moe final : public Decoder {
 public:
  explicit Qwen3Moe(const Meta& m) : c_(m) {}

  void describe(Graph& g) const override {
    g.model(c_.model());
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
    const Tensor h = g.rms_norm(x, w("post_attention_layernorm", "ffn_norm"), c_.eps);
    if (c_.sparse[static_cast<size_t>(i)]) return x + experts(g, w, h);
    const GatedMlp mlp{w("mlp.gate_proj", "ffn_gate"), w("mlp.up_proj", "ffn_up"), w("mlp.down_proj", "ffn_down")};
    return x + gated_mlp(h, mlp, c_.d_ff, c_.act);
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    const Bias b = c_.attention_bias;
    Tensor q = g.split_heads(g.linear(x, w("self_attn.q_proj", "attn_q"), H * D, b), H);  // (T, H, D)
    Tensor k = g.split_heads(g.linear(x, w("self_attn.k_proj", "attn_k"), G * D, b), G);  // (T, G, D)
    Tensor v = g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value, b);
    q = c_.rope(g.rms_norm(q, w("self_attn.q_norm", "attn_q_norm"), c_.eps));
    k = c_.rope(g.rms_norm(k, w("self_attn.k_norm", "attn_k_norm"), c_.eps));
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c_.d_value, .window = c_.window});
    const Tensor y = g.attention(cache, q, k, g.split_heads(v, G), 1 / std::sqrt(static_cast<double>(D)));
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model, b);
  }

  Tensor experts(Graph& g, const Scope& w, Tensor x) const {
    const Tensor scores = g.linear(x, w("mlp.gate", "ffn_gate_inp"), c_.n_experts);  // (T, X)
    return moe_ffn(x, moe_route(scores, c_.routing), c_.stacks(w), c_.n_experts, c_.d_expert, c_.act);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("qwen3_moe", "0.1.0",
             arch<Qwen3Moe>({.hf = {"Qwen3MoeForCausalLM"}, .model_type = {"qwen3_moe"}, .gguf = {"qwen3moe"}}));
