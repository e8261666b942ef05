// Rotary position embedding (Su et al. 2021) with the scalings that published checkpoints use: linear, dynamic (NTK),
// smooth (per-frequency), yarn (Peng et al. 2023) and longrope. Reads both spellings of config.json (rope_theta +
// rope_scaling, or rope_parameters) and the GGUF keys. Written from transformers' modeling_rope_utils.
#pragma once

#include <tenon/graph.hpp>

namespace tenon {
inline namespace v0 {

class Rope {
 public:
  /// d_head: the head's width. All of it is rotated unless the file says less.
  Rope(const Meta& m, int64_t d_head, double default_theta = 10000) : d_rot_(rotary_dims(m, d_head)) {
    theta_ = number(m, "rope_theta", "rope.freq_base").value_or(default_theta);
    std::string kind = vocabulary_word(scaling_kind(m));
    factor_ = number(m, "factor", "rope.scaling.factor").value_or(1);
    if (const double old = m.get_real({nullptr, "rope.scale_linear"}, 1); kind == "none" && old != 1)
      kind = "linear", factor_ = old;
    kind_ = kind;
    const double n_ctx = m.get_real({"max_position_embeddings", "context_length"}, 0);
    const auto original = number(m, "original_max_position_embeddings", "rope.scaling.original_context_length");
    const double ctx = original.value_or(m.get_real({"original_max_position_embeddings"}, n_ctx));
    if (!(ctx >= 0 && ctx <= INT32_MAX))
      m.refuse_range({"original_max_position_embeddings", "rope.scaling.original_context_length"}, std::to_string(ctx));
    original_ctx_ = static_cast<int64_t>(ctx);
    if (kind == "smooth") read_smooth(m);
    if (kind == "yarn") read_yarn(m);
    if (kind == "longrope") read_longrope(m, n_ctx);
  }

  /// x [T, H, D] rotated by each token's position. GGUF files may bring per-pair divisors, `rope_freqs.weight`.
  Tensor operator()(Tensor x, Here at = Here::current()) const {
    Graph& g = *x.graph;
    g.locate(at);
    const Tensor divisors = g.operand({"", "rope_freqs"}, ".weight", {d_rot_ / 2}, true, at);
    std::vector<Attr> attrs = {{"layout", "neox"},
                               {"n_rot", d_rot_},
                               {"base", theta_},
                               {"scaling", kind_},
                               {"factor", factor_},
                               {"original_ctx", original_ctx_},
                               {"magnitude", magnitude_},
                               {"low_freq_factor", low_freq_factor_},
                               {"high_freq_factor", high_freq_factor_},
                               {"beta_fast", beta_fast_},
                               {"beta_slow", beta_slow_},
                               {"truncate", truncate_}};
    if (kind_ == "longrope") {
      attrs.push_back({"short_factors", short_});
      attrs.push_back({"long_factors", long_});
    }
    return g.op("tenon.rope/1", {x.id, g.input_tensor("positions").id, divisors.id}, attrs);
  }

 private:
  static int64_t rotary_dims(const Meta& m, int64_t d_head) {
    const Key top = {"partial_rotary_factor"};
    const double part = number(m, "partial_rotary_factor", nullptr).value_or(m.get_real(top, 1.0));
    if (!(part > 0 && part <= 1)) m.refuse_range(top, std::to_string(part));
    return m.get_int({nullptr, "rope.dimension_count"}, static_cast<int64_t>(part * static_cast<double>(d_head)));
  }
  /// `key` under rope_parameters, under rope_scaling, or (rope_theta) at the top.
  static std::optional<double> number(const Meta& m, const char* key, const char* gguf) {
    const std::string v5 = std::string("rope_parameters.") + key, old = std::string("rope_scaling.") + key;
    if (auto v = m.find_real({v5.c_str(), gguf})) return v;
    if (auto v = m.find_real({old.c_str()})) return v;
    return std::string_view(key) == "rope_theta" ? m.find_real({key}) : std::nullopt;
  }
  static std::string vocabulary_word(const std::string& kind) {
#define ROPE_KIND(spelling, word) \
  if (kind == spelling) return word;
#include <tenon/blocks/rope_kinds.def>
#undef ROPE_KIND
    return kind;
  }
  static std::string scaling_kind(const Meta& m) {
    for (const char* key :
         {"rope_parameters.rope_type", "rope_parameters.type", "rope_scaling.rope_type", "rope_scaling.type"})
      if (auto kind = m.find_text({key})) return m.find_text({"rope_scaling.type"}), *kind;
    return m.get_text({nullptr, "rope.scaling.type"}, "none");
  }
  void read_smooth(const Meta& m) {
    low_freq_factor_ = number(m, "low_freq_factor", nullptr).value_or(1);
    high_freq_factor_ = number(m, "high_freq_factor", nullptr).value_or(4);
  }
  void read_yarn(const Meta& m) {
    beta_fast_ = number(m, "beta_fast", "rope.scaling.yarn_beta_fast").value_or(32);
    beta_slow_ = number(m, "beta_slow", "rope.scaling.yarn_beta_slow").value_or(1);
    truncate_ = m.get_bool({"rope_parameters.truncate"}, m.get_bool({"rope_scaling.truncate"}, true));
    const auto mscale = number(m, "mscale", nullptr), all_dim = number(m, "mscale_all_dim", nullptr);
    const auto stated = number(m, "attention_factor", "rope.scaling.yarn_attn_factor");
    const auto temperature = [&](double s) { return factor_ > 1 ? 0.1 * s * std::log(factor_) + 1 : 1.0; };
    if (stated)
      magnitude_ = *stated;
    else if (mscale && all_dim && *mscale != 0 && *all_dim != 0)
      magnitude_ = temperature(*mscale) / temperature(*all_dim);
    else
      magnitude_ = temperature(1) * m.get_real({nullptr, "rope.scaling.attn_factor"}, 1);
  }
  void read_longrope(const Meta& m, double n_ctx) {
    short_ = m.reals({"rope_scaling.short_factor"}), long_ = m.reals({"rope_scaling.long_factor"});
    if (short_.empty())
      short_ = m.reals({"rope_parameters.short_factor"}), long_ = m.reals({"rope_parameters.long_factor"});
    const double orig = static_cast<double>(original_ctx_), f = original_ctx_ ? n_ctx / orig : factor_;
    const auto stated = number(m, "attention_factor", nullptr);
    magnitude_ = stated ? *stated : f > 1 ? std::sqrt(1 + std::log(f) / std::log(orig)) : 1.0;
  }

  int64_t d_rot_, original_ctx_ = 0, truncate_ = 1;
  double theta_ = 10000, factor_ = 1, magnitude_ = 1;
  double low_freq_factor_ = 1, high_freq_factor_ = 4, beta_fast_ = 32, beta_slow_ = 1;
  std::string kind_ = "none";
  std::vector<double> short_, long_;
};

}  // namespace v0
}  // namespace tenon
