// stablelm: LayerNorm, SwiGLU, rope on a quarter of each head. The 12B runs attention and feed-forward side by side
// after one norm, and normalises each query and key head with weights of its own.
// StableLM 3B, StableLM 2 1.6B and 12B (Bellagente et al. 2024).
// Written from transformers' modeling_stablelm.py; revision in tests/golden/stablelm/SOURCE.md.
#include <tenon/blocks/dims.hpp>
#include <tenon/blocks/mlp.hpp>
#include <tenon/blocks/rope.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

const Names kEmbedding = {"model.embed_tokens", "token_embd"};

struct Config : Dims {  // quoted words are config.json's own and GGUF's own
  explicit Config(const Meta& m)
      : Dims(m, kEmbedding),
        d_ff(m.need_int({"intermediate_size", "feed_forward_length"})),
        eps(m.get_eps({"layer_norm_eps", "attention.layer_norm_epsilon"}, m.get_eps({"norm_eps"}, 1e-5))),
        act(activation(m, "hidden_act", "silu")),
        qkv_bias(bias_flag(m, "use_qkv_bias")),
        rope(m, d_head, 1e4, 0.25) {
    parallel = m.get_bool({"use_parallel_residual", "use_parallel_residual"}, false);
    qk_norm = m.get_bool({"qk_layernorm"}, false);
    // GGUF's flag is true in old files of sequential models: their tensors know better.
    const auto stored = [&](const char* name) { return !m.tensor_shape(name).empty(); };
    if (m.is_gguf()) parallel = !stored("blk.0.ffn_norm.weight"), qk_norm = stored("blk.0.attn_q_norm.weight");
    m.ignore({"num_heads"}, "num_attention_heads again");
    m.ignore({"rotary_scaling_factor"}, "was never used");
  }
  int64_t d_ff;
  double eps;
  std::string act;
  Bias qkv_bias;
  bool parallel = false, qk_norm = false;
  Rope rope;
};

class StableLm final : public Decoder {
 public:
  explicit StableLm(const Meta& m) : c_(m) {}

  void describe(Graph& g) const override {
    g.model(c_.model());
    g.ignore_tensors({"model.layers.*.self_attn.rotary_emb.inv_freq", ""}, "computed from rope_theta");
    Tensor x = g.embed(kEmbedding, c_.n_vocab, c_.d_model);  // (T, E)
    for (int64_t i = 0; i < c_.n_layers; ++i) x = layer(g, i, x);
    x = g.layer_norm(g.wanted_rows(x), {"model.norm", "output_norm"}, c_.eps);
    g.logits(g.linear(x, Weight("lm_head", "output").tied_to(kEmbedding.hf), c_.n_vocab));  // (R, V)
  }

 private:
  Tensor layer(Graph& g, int64_t i, Tensor x) const {
    g.layer(i);
    const std::string n = std::to_string(i);
    const Scope w{"model.layers." + n + ".", "blk." + n + "."};
    const GatedMlp mlp{w("mlp.gate_proj", "ffn_gate"), w("mlp.up_proj", "ffn_up"), w("mlp.down_proj", "ffn_down")};
    const Tensor h = g.layer_norm(x, w("input_layernorm", "attn_norm"), c_.eps);
    const Tensor y = x + attend(g, i, w, h);
    if (c_.parallel) return y + gated_mlp(h, mlp, c_.d_ff, c_.act);
    const Tensor z = g.layer_norm(y, w("post_attention_layernorm", "ffn_norm"), c_.eps);
    return y + gated_mlp(z, mlp, c_.d_ff, c_.act);
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    Tensor q = g.linear(x, w("self_attn.q_proj", "attn_q"), H * D, c_.qkv_bias);  // (T, H*D)
    Tensor k = g.linear(x, w("self_attn.k_proj", "attn_k"), G * D, c_.qkv_bias);  // (T, G*D)
    Tensor v = g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value, c_.qkv_bias);
    if (c_.qk_norm) {
      q = head_norm(g, q, w("self_attn.q_layernorm.norms.{e}", "attn_q_norm"), H);
      k = head_norm(g, k, w("self_attn.k_layernorm.norms.{e}", "attn_k_norm"), G);
    }
    q = c_.rope(g.split_heads(q, H));  // (T, H, D)
    k = c_.rope(g.split_heads(k, G));
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c_.d_value});
    const Tensor y = g.attention(cache, q, k, g.split_heads(v, G), 1 / std::sqrt(static_cast<double>(D)));
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model);
  }

  /// LayerNorm of each head of x [T, n*D] with that head's own weight: safetensors keep n of [D], GGUF one [n, D].
  Tensor head_norm(Graph& g, Tensor x, const Names& names, int64_t n) const {
    const Weight w = Weight(names).experts(n).step({TN_X_RESHAPE, 0, {}, 0});
    return g.merge_heads(g.layer_norm(g.split_heads(x, n), c_.eps)) * g.operand(w, ".weight", {x.dim(1)});
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("stablelm", "0.1.0",
             arch<StableLm>({.hf = {"StableLmForCausalLM", "StableLMEpochForCausalLM"},
                             .model_type = {"stablelm", "stablelm_epoch"},
                             .gguf = {"stablelm"}}));
