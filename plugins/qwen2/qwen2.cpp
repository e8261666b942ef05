// qwen2: llama's wiring with biases on the query, key and value projections alone (Yang et al. 2024).
// Qwen2 and Qwen2.5, QwQ, R1-Distill-Qwen.
// Written from transformers' modeling_qwen2.py; revision in tests/golden/qwen2/SOURCE.md.
// Not here: query/key norms (qwen3), experts (qwen2_moe).
#include <tenon/blocks/dims.hpp>
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
        d_ff(m.need_int({"intermediate_size", "feed_forward_length"})),
        window(m.get_window({"sliding_window", "attention.sliding_window"})),
        eps(m.need_eps({"rms_norm_eps", "attention.layer_norm_rms_epsilon"})),
        act(activation(m, "hidden_act", "silu")),
        rope(m, d_head) {
    const int64_t first = m.get_int({"max_window_layers"}, 28);
    sliding = sliding_layers(m, n_layers, [&](int64_t i) { return i >= first; });
    if (!m.get_bool({"use_sliding_window"}, m.is_gguf())) window = 0;
    m.ignore({"use_mrope"}, "text has one position");
    m.ignore({"dual_chunk_attention_config*"}, "the reference attends to all of it at once");
  }
  int64_t d_ff, window;
  double eps;
  std::string act;
  Rope rope;
  std::vector<bool> sliding;
};

class Qwen2 final : public Decoder {
 public:
  explicit Qwen2(const Meta& m) : c_(m) {}

  void describe(Graph& g) const override {
    g.model(c_.model());
    g.ignore_tensors({"model.layers.*.self_attn.rotary_emb.inv_freq", ""}, "computed from rope_theta");
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
    const GatedMlp mlp{w("mlp.gate_proj", "ffn_gate"), w("mlp.up_proj", "ffn_up"), w("mlp.down_proj", "ffn_down")};
    return x + gated_mlp(g.rms_norm(x, w("post_attention_layernorm", "ffn_norm"), c_.eps), mlp, c_.d_ff, c_.act);
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    Tensor q = g.linear(x, w("self_attn.q_proj", "attn_q"), H * D, Bias::required);  // (T, H*D)
    Tensor k = g.linear(x, w("self_attn.k_proj", "attn_k"), G * D, Bias::required);  // (T, G*D)
    Tensor v = g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value, Bias::required);
    q = c_.rope(g.split_heads(q, H));  // (T, H, D)
    k = c_.rope(g.split_heads(k, G));
    const int64_t window = c_.sliding[static_cast<size_t>(i)] ? c_.window : 0;
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c_.d_value, .window = window});
    const Tensor y = g.attention(cache, q, k, g.split_heads(v, G), 1 / std::sqrt(static_cast<double>(D)));
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("qwen2", "0.1.0", arch<Qwen2>({.hf = {"Qwen2ForCausalLM"}, .model_type = {"qwen2"}, .gguf = {"qwen2"}}));
