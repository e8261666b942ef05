// The experts of a layer as files hold them: a tensor per linear and expert, or stacks of all experts, in which gate
// and up may be one tensor and rows may be columns.
#pragma once

#include <algorithm>
#include <tenon/blocks/experts.hpp>

namespace tenon {
inline namespace v0 {

/// Gate and up rows (F each, gate first) of experts stacked together in safetensors, as transformers 5 holds them:
/// `gate_up_proj` [X, 2F, E] and `down_proj` [X, E, F], or both with rows and columns swapped.
class ExpertStacks {
 public:
  struct Dims {
    int64_t n_experts, d_model, d_ff;
  };
  /// Of one expert in safetensors, with "{e}" for its number, below the layer.
  struct Linears {
    std::string gate, up, down;
  };
  /// `module`: of the stacks in safetensors, below the layer.
  ExpertStacks(const Meta& m, int64_t n_layers, const Dims& dims, Linears linears, std::string module = "mlp.experts")
      : dims_(dims), linears_(std::move(linears)), module_(std::move(module)) {
    const int64_t seen = m.is_gguf() ? 0 : std::min<int64_t>(n_layers, kMostLayers);
    for (int64_t i = 0; i < seen && !swapped_; ++i) {
      const std::string stack = "model.layers." + std::to_string(i) + "." + module_ + ".";
      const auto both = m.tensor_shape(stack + "gate_up_proj"), down = m.tensor_shape(stack + "down_proj");
      const std::vector<int64_t> swapped_both = {dims.n_experts, dims.d_model, 2 * dims.d_ff};
      const std::vector<int64_t> swapped_down = {dims.n_experts, dims.d_ff, dims.d_model};
      // Squares look the same either way; no model has two of them.
      if (both == swapped_both && down == swapped_down) swapped_ = true;
    }
  }

  ExpertWeights operator()(const Scope& w) const {
    Weight down = stored(w, linears_.down, "ffn_down_exps").or_named(w(module_ + ".down_proj", ""));
    if (swapped_) down = std::move(down).hf_step(kSwap);
    return {half(w, linears_.gate, "ffn_gate_exps", 0), half(w, linears_.up, "ffn_up_exps", dims_.d_ff), down};
  }

 private:
  static constexpr int64_t kMostLayers = 4096;  // as many as a host takes
  static constexpr tn_xform kSwap = {TN_X_TRANSPOSE, 0, {1, 2}, 0};

  Weight stored(const Scope& w, const std::string& linear, const std::string& gguf) const {
    return Weight(w(linear + ".weight", gguf + ".weight")).whole_name().experts(dims_.n_experts);
  }
  /// Rows [first, first + F) of a stack of gate and up.
  Weight half(const Scope& w, const std::string& linear, const std::string& gguf, int64_t first) const {
    const tn_xform rows = {TN_X_SLICE, 1, {first, dims_.d_ff}, 0}, columns = {TN_X_SLICE, 2, {first, dims_.d_ff}, 0};
    Weight both = stored(w, linear, gguf).or_named(w(module_ + ".gate_up_proj", "ffn_gate_up_exps.weight"));
    both = std::move(both).gguf_step(rows).hf_step(swapped_ ? columns : rows);
    return swapped_ ? std::move(both).hf_step(kSwap) : both;
  }

  ExpertStacks::Dims dims_;
  Linears linears_;
  std::string module_;
  bool swapped_ = false;
};

}  // namespace v0
}  // namespace tenon
