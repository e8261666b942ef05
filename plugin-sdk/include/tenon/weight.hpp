// Weight: a stored tensor by its names in both formats, and what the formats do to it.
#pragma once

#include <tenon/abi.h>

#include <cstdint>
#include <string>
#include <tenon/meta.hpp>
#include <utility>
#include <vector>

namespace tenon {
inline namespace v0 {

/// A module of the checkpoint by its name in both formats ("" where a format lacks it); linears append ".weight" and
/// ".bias". "{e}" in a name stands for an expert's number: the experts' tensors are stacked.
struct Names {
  std::string hf, gguf;
};

/// A prefix of module names: `Scope{"model.layers.3.", "blk.3."}("self_attn.q_proj", "attn_q")`.
struct Scope {
  std::string hf, gguf;
  Names operator()(const std::string& hf_name, const std::string& gguf_name) const {
    return {hf_name.empty() ? "" : hf + hf_name, gguf_name.empty() ? "" : gguf + gguf_name};
  }
};

/// Where a weight comes from and what the formats do to it. Steps belong to the spelling named last.
class Weight {
 public:
  Weight(Names names) : spellings_{{std::move(names)}} {}  // NOLINT: a name is a weight
  Weight(const char* hf, const char* gguf) : Weight(Names{hf, gguf}) {}

  /// Rows are rotary heads: GGUF files of this architecture store them in interleaved order.
  Weight rope_rows(int64_t n_heads) && { return rope_heads_ = n_heads, std::move(*this); }
  /// When nothing is stored under its own name it is this weight (a tied head).
  Weight tied_to(const std::string& hf_name) && { return tied_ = hf_name + ".weight", std::move(*this); }
  /// A further spelling of the same weight, tried in order.
  Weight or_named(Names names) && { return spellings_.push_back({std::move(names)}), std::move(*this); }
  /// The same, in two safetensors that hold 4-bit floats: pairs of values, and the exponents of 32 each.
  Weight or_mxfp4(Names pairs, Names exponents) && {
    spellings_.push_back({std::move(pairs)});
    return spellings_.back().hf_exponents = exponents.hf, std::move(*this);
  }
  /// What "{e}" in the names counts to.
  Weight experts(int64_t n) && { return n_experts_ = n, std::move(*this); }
  /// The names are the tensors' own: nothing is appended to them.
  Weight whole_name() && { return whole_name_ = true, std::move(*this); }
  /// Rows [first, first + n) of what is stored (a fused projection), of the bias too; the others are other weights'.
  Weight rows(int64_t first, int64_t n) && {
    return spellings_.back().rows = {{TN_X_SLICE, 0, {first, n}, 0}}, std::move(*this);
  }
  /// Rows [first, first + n) of each of the equal groups, heads say, that the stored rows fall into.
  Weight rows_of_each(int64_t first, int64_t n, int64_t groups) && {
    return spellings_.back().rows = {{TN_X_SLICE, 0, {first, n, groups}, 0}}, std::move(*this);
  }
  /// Safetensors hold the rows (of the bias too) in groups, each of parts of `first` rows, `second` rows and the rest;
  /// GGUF files of this architecture hold all first parts, then all second, then the rest.
  Weight hf_row_groups(int64_t groups, int64_t first, int64_t second) && {
    return spellings_.back().hf_rows = {{TN_X_REGROUP, 0, {groups, first, second}, 0}}, std::move(*this);
  }
  /// What is stored goes through this TN_X_* step (a bias does not); hf_step: what safetensors hold, as GGUF files
  /// already hold the result.
  Weight step(const tn_xform& x) && {
    spellings_.back().gguf_steps.push_back(x);
    return std::move(*this).hf_step(x);
  }
  Weight hf_step(const tn_xform& x) && { return spellings_.back().hf_steps.push_back(x), std::move(*this); }
  Weight gguf_step(const tn_xform& x) && { return spellings_.back().gguf_steps.push_back(x), std::move(*this); }
  Weight hf_step(uint32_t op, double f = 0) && { return std::move(*this).hf_step({op, 0, {}, f}); }

 private:
  friend class Graph;
  struct Spelling {
    Names names;
    std::string hf_exponents = {};
    std::vector<tn_xform> rows = {}, hf_rows = {}, hf_steps = {}, gguf_steps = {};
  };
  /// Its logical name: the HF name where there is one, with the rows that it is of a fused tensor.
  std::string logical_name(const char* suffix) const {
    const Spelling& s = spellings_.front();
    const std::string name = (s.names.hf.empty() ? s.names.gguf : s.names.hf) + suffix;
    if (s.rows.empty()) return name;
    return name + "[" + std::to_string(s.rows[0].a[0]) + "+" + std::to_string(s.rows[0].a[1]) + "]";
  }
  std::vector<Spelling> spellings_;
  bool whole_name_ = false;
  int64_t rope_heads_ = 0, n_experts_ = 0;
  std::string tied_;
};

/// Whether a linear has a bias: never, always, or as the file has one (GGUF has no key that says so).
enum class Bias { none, required, if_stored };
/// The flag `hf_key` of config.json; as stored in GGUF.
inline Bias bias_flag(const Meta& m, const char* hf_key, bool fallback = false) {
  if (m.is_gguf()) return Bias::if_stored;
  return m.get_bool({hf_key}, fallback) ? Bias::required : Bias::none;
}

namespace detail {

/// One tn_wsrc with the storage behind its pointers.
struct Source {
  std::vector<std::string> names;
  std::vector<const char*> pointers;
  std::vector<tn_xform> steps;
  tn_wsrc src{};

  /// `name` may hold an "{e}" that counts to `n_experts`: what it names is stacked before the steps. `exponents`, when
  /// not empty, names the other half of 4-bit floats.
  Source(uint32_t format, const std::string& name, const std::string& exponents, int64_t n_experts,
         const std::vector<tn_xform>& then) {
    const size_t at = name.find("{e}");
    if (at == std::string::npos) names = {name};
    if (at != std::string::npos) {
      for (int64_t e = 0; e < n_experts; ++e)
        names.push_back(name.substr(0, at) + std::to_string(e) + name.substr(at + 3));
      steps.push_back({TN_X_STACK, 0, {}, 0});
    }
    if (!exponents.empty()) {
      names.push_back(exponents);
      steps.push_back({TN_X_MXFP4, 0, {}, 0});
    }
    steps.insert(steps.end(), then.begin(), then.end());
    for (const std::string& n : names) pointers.push_back(n.c_str());
    src = {sizeof src,      format,      static_cast<uint32_t>(names.size()), static_cast<uint32_t>(steps.size()),
           pointers.data(), steps.data()};
  }
  Source(Source&&) = default;  // the vectors keep their heap blocks, so the pointers stay true
};

}  // namespace detail

}  // namespace v0
}  // namespace tenon
