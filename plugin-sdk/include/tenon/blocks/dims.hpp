// The sizes that every decoder with attention states, by their names in both formats.
#pragma once

#include <tenon/plugin.hpp>

namespace tenon {
inline namespace v0 {

struct Dims {
  /// `embedding`: the token table, whose rows count the vocabulary. `head_dim`: of a config.json that has none; 0 means
  /// d_model / n_heads, as in any GGUF.
  Dims(const Meta& m, const Names& embedding, int64_t head_dim = 0)
      : n_layers(m.need_int({"num_hidden_layers", "block_count"})),
        d_model(m.need_int({"hidden_size", "embedding_length"})),
        n_heads(m.need_int({"num_attention_heads", "attention.head_count"})),
        n_kv_heads(m.get_count({"num_key_value_heads", "attention.head_count_kv"}, n_heads)),
        d_head(
            m.get_count({"head_dim", "attention.key_length"}, head_dim && !m.is_gguf() ? head_dim : d_model / n_heads)),
        d_value(m.get_count({nullptr, "attention.value_length"}, d_head)),
        n_vocab(vocab_rows(m, embedding)),
        n_ctx(m.need_int({"max_position_embeddings", "context_length"})) {
    const auto text = [](int64_t n) { return std::to_string(n); };
    const Key heads = {"num_attention_heads", "attention.head_count"};
    constexpr int64_t kMostLayers = 4096;  // as many as a host takes: plugins may look at each
    if (n_layers > kMostLayers) m.refuse_range({"num_hidden_layers", "block_count"}, text(n_layers) + " layers");
    if (n_heads % n_kv_heads != 0)
      throw Refusal("[config] " + m.name(heads) + " is " + text(n_heads) + ", no multiple of the " + text(n_kv_heads) +
                    " of " + m.name({"num_key_value_heads", "attention.head_count_kv"}));
    if (d_head < 1)
      throw Refusal("[config] " + m.name(heads) + " is " + text(n_heads) + ", more than the width " + text(d_model));
  }
  int64_t n_layers, d_model, n_heads, n_kv_heads, d_head, d_value, n_vocab, n_ctx;

  Graph::Model model() const { return {n_layers, n_vocab, d_model, n_ctx}; }
};

}  // namespace v0
}  // namespace tenon
