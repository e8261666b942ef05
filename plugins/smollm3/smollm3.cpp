// smollm3: llama's wiring where every fourth layer has no positions at all (NoPE, Yang et al. 2025).
// Written from transformers' modeling_smollm3.py; revision in tests/golden/smollm3/SOURCE.md.
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
        attention_bias(bias_flag(m, "attention_bias")),
        mlp_bias(bias_flag(m, "mlp_bias")),
        rope(m, d_head, 2e6) {
    rotated = rotated_layers(m, n_layers);
    sliding = sliding_layers(m, n_layers, [&](int64_t i) { return !rotated[static_cast<size_t>(i)]; });
    if (!m.get_bool({"use_sliding_window"}, false)) window = 0;
    m.ignore({"max_window_layers"}, "layer_types says which slide");
    m.ignore({"pretraining_tp"}, "splits a product into slices that are summed again");
  }
  /// In the list 1 means that rope is used.
  static std::vector<bool> rotated_layers(const Meta& m, int64_t n_layers) {
    const Key list = {"no_rope_layers"};
    const int64_t interval = m.get_count({"no_rope_layer_interval"}, 4);
    std::vector<bool> rotated;
    for (int64_t flag : m.ints(list)) rotated.push_back(flag != 0);
    if (m.has(list)) return checked_layers(m, list, rotated, n_layers);
    for (int64_t i = 0; i < n_layers; ++i) rotated.push_back((i + 1) % interval != 0);
    return rotated;
  }
  int64_t d_ff, window;
  double eps;
  std::string act;
  Bias attention_bias, mlp_bias;
  Rope rope;
  std::vector<bool> rotated, sliding;
};

class SmolLM3 final : public Decoder {
 public:
  explicit SmolLM3(const Meta& m) : c_(m) {}

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
    const GatedMlp mlp{w("mlp.gate_proj", "ffn_gate"), w("mlp.up_proj", "ffn_up"), w("mlp.down_proj", "ffn_down")};
    x = x +
        gated_mlp(g.rms_norm(x, w("post_attention_layernorm", "ffn_norm"), c_.eps), mlp, c_.d_ff, c_.act, c_.mlp_bias);
    return x;
  }

  Tensor attend(Graph& g, int64_t i, const Scope& w, Tensor x) const {
    const int64_t H = c_.n_heads, G = c_.n_kv_heads, D = c_.d_head;
    const Bias b = c_.attention_bias;
    const auto at = static_cast<size_t>(i);
    Tensor q = g.linear(x, Weight(w("self_attn.q_proj", "attn_q")).rope_rows(H), H * D, b);  // (T, H*D)
    Tensor k = g.linear(x, Weight(w("self_attn.k_proj", "attn_k")).rope_rows(G), G * D, b);  // (T, G*D)
    Tensor v = g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value, b);
    q = g.split_heads(q, H);  // (T, H, D)
    k = g.split_heads(k, G);
    if (c_.rotated[at]) q = c_.rope(q), k = c_.rope(k);
    const int64_t window = c_.sliding[at] ? c_.window : 0;
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c_.d_value, .window = window});
    const Tensor y = g.attention(cache, q, k, g.split_heads(v, G), 1 / std::sqrt(static_cast<double>(D)));
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model, b);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("smollm3", "0.1.0",
             arch<SmolLM3>({.hf = {"SmolLM3ForCausalLM"}, .model_type = {"smollm3"}, .gguf = {"smollm3"}}));
