// phimoe: phi3's longrope with LayerNorms, biases and, in each layer, two experts chosen by SparseMixer (Abdin et al.
// 2024; Liu et al. 2023). Phi-3.5-MoE. Written from transformers' modeling_phimoe.py and, for rope beyond the trained
// length, from the publisher's own code; revision in tests/golden/phimoe/SOURCE.md.
#include <tenon/blocks/dims.hpp>
#include <tenon/blocks/expert_stacks.hpp>
#include <tenon/blocks/rope.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

const Names kEmbedding = {"model.embed_tokens", "token_embd"};

struct Config : Dims {  // quoted words are config.json's own and GGUF's own
  explicit Config(const Meta& m)
      : Dims(m, kEmbedding),
        n_experts(expert_count(m, {"num_local_experts", "expert_count"})),
        n_used(experts_used(m, {"num_experts_per_tok", "expert_used_count"}, n_experts)),
        d_expert(m.get_count({nullptr, "expert_feed_forward_length"},
                             m.need_int({"intermediate_size", "feed_forward_length"}))),
        window(m.get_window({"sliding_window", "attention.sliding_window"})),
        eps(m.need_eps({"rms_norm_eps", "attention.layer_norm_rms_epsilon"})),
        jitter(m.get_real({"router_jitter_noise"}, 0.01)),
        act(activation(m, "hidden_act", "silu")),
        attention_bias(bias_flag(m, "attention_bias")),
        head_bias(bias_flag(m, "lm_head_bias")),
        rope(m, d_head, 1e6),
        stacks(
            m, n_layers, {n_experts, d_model, d_expert},
            {"block_sparse_moe.experts.{e}.w1", "block_sparse_moe.experts.{e}.w3", "block_sparse_moe.experts.{e}.w2"}) {
    for (const std::string object : {"rope_scaling.", "rope_parameters."}) {
      const std::string shorts = object + "short_mscale", longs = object + "long_mscale";
      const auto mscale = m.find_real({shorts.c_str()});
      if (mscale) rope = rope.with_magnitude(*mscale, m.get_positive({longs.c_str()}, *mscale));
    }
    for (const char* key : {"router_aux_loss_coef", "output_router_logits", "input_jitter_noise"})
      m.ignore({key}, "training only");
  }
  int64_t n_experts, n_used, d_expert, window;
  double eps, jitter;
  std::string act;
  Bias attention_bias, head_bias;
  Rope rope;
  ExpertStacks stacks;
};

class Phimoe final : public Decoder {
 public:
  explicit Phimoe(const Meta& m) : c_(m) {}

  void describe(Graph& g) const override {
    g.model(c_.model());
    Tensor x = g.embed(kEmbedding, c_.n_vocab, c_.d_model);  // (T, E)
    for (int64_t i = 0; i < c_.n_layers; ++i) x = layer(g, i, x);
    x = g.layer_norm(g.wanted_rows(x), {"model.norm", "output_norm"}, c_.eps);
    g.logits(g.linear(x, Weight("lm_head", "output").tied_to(kEmbedding.hf), c_.n_vocab, c_.head_bias));  // (R, V)
  }

 private:
  Tensor layer(Graph& g, int64_t i, Tensor x) const {
    g.layer(i);
    const std::string n = std::to_string(i);
    const Scope w{"model.layers." + n + ".", "blk." + n + "."};
    x = x + attend(g, i, w, g.layer_norm(x, w("input_layernorm", "attn_norm"), c_.eps));
    return x + experts(g, w, g.layer_norm(x, w("post_attention_layernorm", "ffn_norm"), c_.eps));
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    const Bias b = c_.attention_bias;
    Tensor q = g.linear(x, w("self_attn.q_proj", "attn_q"), H * D, b);  // (T, H*D)
    Tensor k = g.linear(x, w("self_attn.k_proj", "attn_k"), G * D, b);  // (T, G*D)
    Tensor v = g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value, b);
    q = c_.rope(g.split_heads(q, H));  // (T, H, D)
    k = c_.rope(g.split_heads(k, G));
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c_.d_value, .window = c_.window});
    const Tensor y = g.attention(cache, q, k, g.split_heads(v, G), 1 / std::sqrt(static_cast<double>(D)));
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model, b);
  }

  Tensor experts(Graph& g, const Scope& w, Tensor x) const {
    const Weight router = Weight(w("block_sparse_moe.gate", "ffn_gate_inp")).or_named(w("mlp.router", ""));
    const Tensor scores = g.linear(x, router, c_.n_experts);  // (T, X)
    return moe_ffn(x, sparse_mixer(scores, c_.n_used, c_.jitter), c_.stacks(w), c_.n_experts, c_.d_expert, c_.act);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN(
    "phimoe", "0.1.0",
    arch<Phimoe>({.hf = {"PhiMoEForCausalLM", "PhimoeForCausalLM"}, .model_type = {"phimoe"}, .gguf = {"phimoe"}}));
