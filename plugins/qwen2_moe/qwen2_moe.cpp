// qwen2_moe: qwen2's attention, with a sparse mixture of small experts beside a shared one that a gate of its own
// weighs (Qwen team 2024). Qwen1.5-MoE-A2.7B, Qwen2-57B-A14B. Written from transformers' modeling_qwen2_moe.py;
// revision in tests/golden/qwen2_moe/SOURCE.md. Not here: query/key norms and no shared expert (qwen3_moe).
#include <tenon/blocks/dims.hpp>
#include <tenon/blocks/expert_stacks.hpp>
#include <tenon/blocks/layer_types.hpp>
#include <tenon/blocks/mlp.hpp>
#include <tenon/blocks/rope.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

const Names kEmbedding = {"model.embed_tokens", "token_embd"};

struct Config : Dims {  // quoted words are config.json's own and GGUF's own
  explicit Config(const Meta& m)
      : Dims(m, kEmbedding),
        n_experts(expert_count(m, {"num_experts", "expert_count"})),
        n_used(experts_used(m, {"num_experts_per_tok", "expert_used_count"}, n_experts)),
        d_ff(m.need_int({"intermediate_size", "feed_forward_length"})),
        d_expert(
            m.get_count({"moe_intermediate_size", "expert_feed_forward_length"}, m.is_gguf() ? d_ff / n_used : 1408)),
        d_shared(m.get_count({"shared_expert_intermediate_size", "expert_shared_feed_forward_length"},
                             m.is_gguf() ? d_ff : 5632)),
        window(m.get_window({"sliding_window", "attention.sliding_window"})),
        eps(m.need_eps({"rms_norm_eps", "attention.layer_norm_rms_epsilon"})),
        act(activation(m, "hidden_act", "silu")),
        qkv_bias(bias_flag(m, "qkv_bias", true)),
        rope(m, d_head),
        routing{.k = n_used,
                .renormalise = m.get_bool({"norm_topk_prob", "expert_weights_norm"}, false),
                .scale = m.get_real({nullptr, "expert_weights_scale"}, 1)},
        stacks(m, n_layers, {n_experts, d_model, d_expert},
               {"mlp.experts.{e}.gate_proj", "mlp.experts.{e}.up_proj", "mlp.experts.{e}.down_proj"}) {
    const int64_t last = m.get_int({"max_window_layers"}, 28);
    sliding = sliding_layers(m, n_layers, [&](int64_t i) { return m.is_gguf() || (i % 2 == 0 && i < last); });
    if (!m.get_bool({"use_sliding_window"}, m.is_gguf())) window = 0;
    for (int64_t i = 0; i < n_layers; ++i) {
      const std::string n = std::to_string(i);
      const std::string router = m.is_gguf() ? "blk." + n + ".ffn_gate_inp" : "model.layers." + n + ".mlp.gate";
      sparse.push_back(!m.tensor_shape(router + ".weight").empty());
    }
    for (const char* key : {"mlp_only_layers", "decoder_sparse_step"}) m.ignore({key}, "seen from the layers' tensors");
    for (const char* key : {"router_aux_loss_coef", "output_router_logits"}) m.ignore({key}, "training only");
  }
  int64_t n_experts, n_used, d_ff, d_expert, d_shared, window;
  double eps;
  std::string act;
  Bias qkv_bias;
  Rope rope;
  Routing routing;
  ExpertStacks stacks;
  std::vector<bool> sliding, sparse;
};

class Qwen2Moe final : public Decoder {
 public:
  explicit Qwen2Moe(const Meta& m) : c_(m) {}

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
    if (!c_.sparse[static_cast<size_t>(i)]) return x + mlp(h, w, "", "", c_.d_ff);
    const Names row = w("mlp.shared_expert_gate", "ffn_gate_inp_shexp");                  // [1, E], or [E] in GGUF
    const Tensor gate = g.linear(h, Weight(row).gguf_step({TN_X_RESHAPE, 0, {}, 0}), 1);  // (T, 1)
    return x + experts(g, w, h) + mlp(h, w, "shared_expert.", "_shexp", c_.d_shared) * g.unary(gate, "sigmoid");
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    const Bias b = c_.qkv_bias;
    Tensor q = g.linear(x, w("self_attn.q_proj", "attn_q"), H * D, b);  // (T, H*D)
    Tensor k = g.linear(x, w("self_attn.k_proj", "attn_k"), G * D, b);  // (T, G*D)
    Tensor v = g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value, b);
    q = c_.rope(g.split_heads(q, H));  // (T, H, D)
    k = c_.rope(g.split_heads(k, G));
    const int64_t window = c_.sliding[static_cast<size_t>(i)] ? c_.window : 0;
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c_.d_value, .window = window});
    const Tensor y = g.attention(cache, q, k, g.split_heads(v, G), 1 / std::sqrt(static_cast<double>(D)));
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model);
  }

  Tensor mlp(Tensor x, const Scope& w, const std::string& hf, const std::string& gguf, int64_t d_ff) const {
    const auto part = [&](const std::string& name) { return w("mlp." + hf + name + "_proj", "ffn_" + name + gguf); };
    return gated_mlp(x, {part("gate"), part("up"), part("down")}, d_ff, c_.act);
  }

  Tensor experts(Graph& g, const Scope& w, Tensor x) const {
    const Tensor scores = g.linear(x, w("mlp.gate", "ffn_gate_inp"), c_.n_experts);  // (T, X)
    return moe_ffn(x, moe_route(scores, c_.routing), c_.stacks(w), c_.n_experts, c_.d_expert, c_.act);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("qwen2_moe", "0.1.0",
             arch<Qwen2Moe>({.hf = {"Qwen2MoeForCausalLM"}, .model_type = {"qwen2_moe"}, .gguf = {"qwen2moe"}}));
