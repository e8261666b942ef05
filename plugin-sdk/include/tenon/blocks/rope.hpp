// Rotary position embedding (Su et al. 2021) with the scalings that published checkpoints use: linear, dynamic (NTK),
// smooth (per-frequency), yarn (Peng et al. 2023) and longrope. Reads both spellings of config.json (rope_theta +
// rope_scaling, or rope_parameters, which may be nested per type of layer) and the GGUF keys. Written from
// transformers' modeling_rope_utils.
#pragma once

#include <tenon/graph.hpp>

namespace tenon {
inline namespace v0 {

/// Yarn's temperature: what it multiplies cos and sin by, mscale 1 unless a model says otherwise.
inline double yarn_temperature(double factor, double mscale) {
  return factor > 1 ? 0.1 * mscale * std::log(factor) + 1 : 1.0;
}

class Rope {
 public:
  /// d_head: the head's width. All of it is rotated, or the default part in a config.json, unless the file says
  /// otherwise.
  Rope(const Meta& m, int64_t d_head, double default_theta = 10000, double default_part = 1)
      : Rope(m, d_head, default_theta, default_part, {}) {}

  /// Of the layers that config.json calls `type` ("full_attention"), where it has a rope for each type.
  static Rope of_layers(const Meta& m, int64_t d_head, const std::string& type, double default_theta = 10000) {
    return {m, d_head, default_theta, 1, type};
  }
  /// Of layers whose rope is never scaled, unless config.json has one for their `type`: theta by its own key.
  static Rope unscaled(const Meta& m, int64_t d_head, const std::string& type, Key theta, double default_theta) {
    if (m.type({("rope_parameters." + type).c_str()}) == TN_TYPE_OBJECT) return {m, d_head, default_theta, 1, type};
    Rope rope;
    rope.d_rot_ = rotary_dims(m, d_head, 1, "rope_parameters.");
    rope.theta_ = m.get_positive(theta, default_theta);
    return rope;
  }

  double theta() const { return theta_; }
  double factor() const { return factor_; }
  int64_t original_ctx() const { return original_ctx_; }
  /// The same with another factor of cos and sin.
  Rope with_magnitude(double magnitude) const {
    Rope rope = *this;
    return rope.magnitude_ = magnitude, rope;
  }

  /// The same with factors of cos and sin for sequences that stay within the original length and for those that do not.
  Rope with_magnitude(double within, double beyond) const {
    Rope rope = with_magnitude(within);
    return rope.long_magnitude_ = beyond, rope;
  }
  /// The same with yarn's ramp between dims that are no integers.
  Rope untruncated() const {
    Rope rope = *this;
    return rope.truncate_ = 0, rope;
  }

  /// The same with pairs (2j, 2j + 1) in place of (j, j + d_rot / 2).
  Rope interleaved() const {
    Rope rope = *this;
    return rope.layout_ = "interleaved", rope;
  }

  /// x [T, H, D] rotated by each token's position. GGUF files may bring per-pair divisors, `rope_freqs.weight`, and
  /// hold longrope's lists as tensors.
  Tensor operator()(Tensor x, Here at = Here::current()) const {
    Graph& g = *x.graph;
    g.locate(at);
    const auto stored = [&](const char* name, bool optional) {
      return g.operand({"", name}, ".weight", {d_rot_ / 2}, optional, at).id;
    };
    std::vector<tn_val> in = {x.id, g.input_tensor("positions").id, stored("rope_freqs", true)};
    std::vector<Attr> attrs = {{"layout", layout_},
                               {"n_rot", d_rot_},
                               {"base", theta_},
                               {"scaling", kind_},
                               {"factor", factor_},
                               {"original_ctx", original_ctx_},
                               {"magnitude", magnitude_},
                               {"long_magnitude", long_magnitude_ > 0 ? long_magnitude_ : magnitude_},
                               {"low_freq_factor", low_freq_factor_},
                               {"high_freq_factor", high_freq_factor_},
                               {"beta_fast", beta_fast_},
                               {"beta_slow", beta_slow_},
                               {"truncate", truncate_}};
    if (kind_ == "longrope" && short_.empty()) {
      in.push_back(stored("rope_factors_short", false));
      in.push_back(stored("rope_factors_long", false));
    } else if (kind_ == "longrope") {
      attrs.push_back({"short_factors", short_});
      attrs.push_back({"long_factors", long_});
    }
    return g.op("tenon.rope/1", in, attrs);
  }

 private:
  Rope() = default;
  Rope(const Meta& m, int64_t d_head, double default_theta, double default_part, const std::string& layer_type)
      : v5_("rope_parameters." + (layer_type.empty() ? "" : layer_type + ".")) {
    if (m.type({v5_.substr(0, v5_.size() - 1).c_str()}) != TN_TYPE_OBJECT) v5_ = "rope_parameters.";
    d_rot_ = rotary_dims(m, d_head, m.is_gguf() ? 1 : default_part, v5_);
    theta_ = positive(m, "rope_theta", "rope.freq_base").value_or(default_theta);
    read_scaling(m);
    m.ignore({nullptr, "rope.scaling.finetuned"}, "how it was trained");
  }

  void read_scaling(const Meta& m) {
    kind_ = vocabulary_word(scaling_kind(m));
    if (kind_ == "yarn" && m.has({"rope_scaling.short_factor"})) kind_ = "longrope";  // as its first files call it
    const auto stated = positive(m, "factor", "rope.scaling.factor");
    factor_ = stated.value_or(1);
    if (const double old = m.get_positive({nullptr, "rope.scale_linear"}, 1); kind_ == "none" && old != 1)
      kind_ = "linear", factor_ = old;
    const double n_ctx = m.get_real({"max_position_embeddings", "context_length"}, 0);
    const auto original = number(m, "original_max_position_embeddings", "rope.scaling.original_context_length");
    const double ctx = m.get_real({"original_max_position_embeddings"}, original.value_or(n_ctx));
    const bool needed = kind_ != "none" && kind_ != "linear";
    if (!(ctx >= (needed ? 1 : 0) && ctx <= INT32_MAX))
      m.refuse_range({"original_max_position_embeddings", "rope.scaling.original_context_length"}, std::to_string(ctx));
    original_ctx_ = static_cast<int64_t>(ctx);
    if (!stated && (kind_ == "yarn" || kind_ == "longrope") && ctx > 0 && n_ctx > 0) factor_ = n_ctx / ctx;
    if (kind_ == "smooth") read_smooth(m);
    if (kind_ == "yarn") read_yarn(m);
    if (kind_ == "longrope") read_longrope(m);
  }

  static int64_t rotary_dims(const Meta& m, int64_t d_head, double default_part, const std::string& v5) {
    std::optional<double> part;  // the first that is there; the others mean the same
    for (const std::string& key :
         {v5 + "partial_rotary_factor", std::string("rope_scaling.partial_rotary_factor"),
          std::string("partial_rotary_factor"), std::string("rotary_pct"), std::string("rope_pct")})
      if (const auto v = m.find_real({key.c_str()}); v && m.in_range({key.c_str()}, *v, 0, 1.0000001) && !part)
        part = v;
    const Key gguf = {nullptr, "rope.dimension_count"};
    const int64_t n =
        m.get_count(gguf, static_cast<int64_t>(part.value_or(default_part) * static_cast<double>(d_head)));
    const Key named = {"partial_rotary_factor", gguf.gguf};
    return n < 2 || n % 2 || n > d_head ? m.refuse_range(named, std::to_string(n) + " dims of a head") : n;
  }
  /// `key` under rope_parameters, under rope_scaling, or (rope_theta) at the top.
  std::optional<double> number(const Meta& m, const char* key, const char* gguf) const {
    const std::string v5 = v5_ + key, old = std::string("rope_scaling.") + key;
    if (auto v = m.find_real({v5.c_str(), gguf})) return v;
    if (auto v = m.find_real({old.c_str()})) return v;
    return std::string_view(key) == "rope_theta" ? m.find_real({key}) : std::nullopt;
  }
  std::optional<double> positive(const Meta& m, const char* key, const char* gguf) const {
    const auto v = number(m, key, gguf);
    if (v) m.in_range({key, gguf}, *v, 0, HUGE_VAL);
    return v;
  }
  static std::string vocabulary_word(const std::string& kind) {
#define ROPE_KIND(spelling, word) \
  if (kind == spelling) return word;
#include <tenon/blocks/rope_kinds.def>
#undef ROPE_KIND
    for (const char* word : {"none", "linear", "dynamic", "smooth", "yarn", "longrope"})
      if (kind == word) return kind;
    throw Refusal("[config] rope_type (rope.scaling.type) is " + kind + ", which is unknown");
  }
  std::string scaling_kind(const Meta& m) const {
    if (m.is_gguf() && !m.tensor_shape("rope_factors_long.weight").empty()) {
      m.find_text({nullptr, "rope.scaling.type"});  // not always there, and no news
      return "longrope";
    }
    std::optional<std::string> first;  // files may say it twice
    for (const std::string& key :
         {v5_ + "rope_type", v5_ + "type", std::string("rope_scaling.rope_type"), std::string("rope_scaling.type")})
      if (auto kind = m.find_text({key.c_str()}); kind && !first) first = kind;
    return first ? *first : m.get_text({nullptr, "rope.scaling.type"}, "none");
  }
  void read_smooth(const Meta& m) {
    low_freq_factor_ = positive(m, "low_freq_factor", nullptr).value_or(1);
    high_freq_factor_ = positive(m, "high_freq_factor", nullptr).value_or(4);
  }
  void read_yarn(const Meta& m) {
    beta_fast_ = positive(m, "beta_fast", "rope.scaling.yarn_beta_fast").value_or(32);
    beta_slow_ = positive(m, "beta_slow", "rope.scaling.yarn_beta_slow").value_or(1);
    truncate_ = m.get_bool({(v5_ + "truncate").c_str()}, m.get_bool({"rope_scaling.truncate"}, true));
    const auto mscale = number(m, "mscale", nullptr), all_dim = number(m, "mscale_all_dim", nullptr);
    const auto stated = number(m, "attention_factor", "rope.scaling.yarn_attn_factor");
    if (stated)
      magnitude_ = *stated;
    else if (mscale && all_dim && *mscale != 0 && *all_dim != 0)
      magnitude_ = yarn_temperature(factor_, *mscale) / yarn_temperature(factor_, *all_dim);
    else
      magnitude_ = yarn_temperature(factor_, 1) * m.get_real({nullptr, "rope.scaling.attn_factor"}, 1);
  }
  void read_longrope(const Meta& m) {
    for (const std::string& object : {v5_, std::string("rope_scaling.")})
      if (short_.empty()) {
        short_ = m.reals({(object + "short_factor").c_str()});
        long_ = m.reals({(object + "long_factor").c_str()});
      }
    if (!m.is_gguf() && short_.empty()) m.refuse_range({"rope_scaling.short_factor"}, "empty");
    const auto stated = number(m, "attention_factor", "rope.scaling.attn_factor");
    const double trained = static_cast<double>(original_ctx_);
    if (trained < 2)
      m.refuse_range({"original_max_position_embeddings", "rope.scaling.original_context_length"},
                     std::to_string(original_ctx_));
    magnitude_ = stated ? *stated : factor_ > 1 ? std::sqrt(1 + std::log(factor_) / std::log(trained)) : 1.0;
  }

  std::string v5_, layout_ = "neox";
  int64_t d_rot_ = 0, original_ctx_ = 0, truncate_ = 1;
  double theta_ = 10000, factor_ = 1, magnitude_ = 1, long_magnitude_ = 0;  // 0: as magnitude_
  double low_freq_factor_ = 1, high_freq_factor_ = 4, beta_fast_ = 32, beta_slow_ = 1;
  std::string kind_ = "none";
  std::vector<double> short_, long_;
};

}  // namespace v0
}  // namespace tenon
