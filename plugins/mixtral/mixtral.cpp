// mixtral: llama's attention with a sparse mixture of SwiGLU experts in each layer (Jiang et al. 2024).
// Mixtral 8x7B and 8x22B; GGUF files call them "llama" with an expert count.
// Written from transformers' modeling_mixtral.py; revision in tests/golden/mixtral/SOURCE.md.
#include <tenon/blocks/expert_stacks.hpp>
#include <tenon/blocks/rope.hpp>
#include <tenon/plugin.hpp>

namespace {
using namespace tenon;

const Names kEmbedding = {"model.embed_tokens", "token_embd"};

struct Config {  // quoted words are config.json's own and GGUF's own
  explicit Config(const Meta& m)
      : n_layers(m.need_int({"num_hidden_layers", "block_count"})),
        d_model(m.need_int({"hidden_size", "embedding_length"})),
        d_ff(m.need_int({"intermediate_size", "feed_forward_length"})),
        n_heads(m.need_int({"num_attention_heads", "attention.head_count"})),
        n_kv_heads(m.get_int({"num_key_value_heads", "attention.head_count_kv"}, n_heads)),
        d_head(m.get_int({"head_dim", "attention.key_length"}, d_model / n_heads)),
        d_value(m.get_int({nullptr, "attention.value_length"}, d_head)),
        n_experts(m.need_int({"num_local_experts", "expert_count"})),
        n_used(m.need_int({"num_experts_per_tok", "expert_used_count"})),
        window(m.get_int({"sliding_window", "attention.sliding_window"}, 0)),
        n_vocab(vocab_rows(m, kEmbedding)),
        n_ctx(m.need_int({"max_position_embeddings", "context_length"})),
        eps(m.need_real({"rms_norm_eps", "attention.layer_norm_rms_epsilon"})),
        act(activation(m, "hidden_act", "silu")),
        rope(m, d_head, 1e6),
        stacks(
            m, n_layers, {n_experts, d_model, d_ff},
            {"block_sparse_moe.experts.{e}.w1", "block_sparse_moe.experts.{e}.w3", "block_sparse_moe.experts.{e}.w2"}) {
    m.ignore({"router_aux_loss_coef"}, "training only");
    m.ignore({"router_jitter_noise"}, "training only");
    m.ignore({"output_router_logits"}, "training only");
  }
  int64_t n_layers, d_model, d_ff, n_heads, n_kv_heads, d_head, d_value, n_experts, n_used, window, n_vocab, n_ctx;
  double eps;
  std::string act;
  Rope rope;
  ExpertStacks stacks;
};

class Mixtral final : public Decoder {
 public:
  explicit Mixtral(const Meta& m) : c_(m) {}

  static int match(const Meta& m) { return m.get_int({"num_local_experts", "expert_count"}, 0) > 0 ? 80 : 0; }

  void describe(Graph& g) const override {
    g.model({c_.n_layers, c_.n_vocab, c_.d_model, c_.n_ctx});
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
    Tensor q = g.linear(x, Weight(w("self_attn.q_proj", "attn_q")).rope_rows(H), H * D);  // (T, H*D)
    Tensor k = g.linear(x, Weight(w("self_attn.k_proj", "attn_k")).rope_rows(G), G * D);  // (T, G*D)
    Tensor v = g.linear(x, w("self_attn.v_proj", "attn_v"), G * c_.d_value);
    q = c_.rope(g.split_heads(q, H));  // (T, H, D)
    k = c_.rope(g.split_heads(k, G));
    const tn_st cache = g.kv(i, {.n_heads = G, .d_key = D, .d_value = c_.d_value, .window = c_.window});
    const Tensor y = g.attention(cache, q, k, g.split_heads(v, G), 1 / std::sqrt(static_cast<double>(D)));
    return g.linear(g.merge_heads(y), w("self_attn.o_proj", "attn_output"), c_.d_model);
  }

  Tensor experts(Graph& g, const Scope& w, Tensor x) const {
    const Weight gate = Weight(w("block_sparse_moe.gate", "ffn_gate_inp")).or_named(w("mlp.gate", ""));
    const Tensor scores = g.linear(x, gate, c_.n_experts);  // (T, X)
    const Route route = moe_route(scores, {.k = c_.n_used, .score = "softmax", .renormalise = true});
    ExpertWeights stacks = c_.stacks(w);
    const auto or_apart = [&](Weight stack, const char* gguf) {  // as the first files have it
      return std::move(stack).or_named(w("", gguf));
    };
    stacks.gate = or_apart(stacks.gate, "ffn_gate.{e}.weight");
    stacks.up = or_apart(stacks.up, "ffn_up.{e}.weight");
    stacks.down = or_apart(stacks.down, "ffn_down.{e}.weight");
    return moe_ffn(x, route, stacks, c_.n_experts, c_.d_ff, c_.act);
  }

  Config c_;
};
}  // namespace

TENON_PLUGIN("mixtral", "0.1.0",
             arch<Mixtral>({.hf = {"MixtralForCausalLM"}, .model_type = {"mixtral"}, .gguf = {"llama"}}));
