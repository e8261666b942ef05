// What the reference kernels see of one step: values by id, weights row by row, the batch and the state.
#pragma once

#include <functional>

#include "backend/backend.hpp"
#include "backend/reference/states.hpp"
#include "graph/catalogue.hpp"
#include "graph/passes.hpp"

namespace tenon::reference {

class Run {
 public:
  /// Plans the arena and the scratch; what `run` needs later is allocated here.
  Run(Graph graph, std::vector<HostTensor> weights, const ExecOptions& options);

  void begin(const Batch& batch, States& states);

  const Graph& graph() const { return graph_; }
  const Batch& batch() const { return *batch_; }
  States& states() { return *states_; }
  uint64_t arena_bytes() const { return plan_.bytes; }

  int64_t extent(int64_t dim) const;  // a dimension with its symbol resolved
  int64_t elements(ValueId id) const;
  int64_t width(ValueId id) const { return extent(graph_.value(id).shape.back()); }
  int64_t rows(ValueId id) const { return elements(id) / width(id); }  // all axes but the last together
  float* f32(ValueId id) { return reinterpret_cast<float*>(bytes(id)); }
  const int32_t* i32(ValueId id);
  int32_t* i32_result(ValueId id) { return reinterpret_cast<int32_t*>(bytes(id)); }

  /// Row `r` of a weight operand (leading axes flattened) as float32; the bytes live until the next call with this
  /// slot.
  enum class Slot : uint8_t { first, second };
  const float* weight_row(ValueId id, int64_t r, Slot slot = Slot::first);
  /// A one-dimensional weight, or nullptr for an absent operand.
  const float* vector(ValueId id, Slot slot = Slot::first) { return id ? weight_row(id, 0, slot) : nullptr; }

 private:
  std::byte* bytes(ValueId id);
  Graph graph_;
  std::vector<HostTensor> weights_;
  ArenaPlan plan_;
  std::vector<std::byte> arena_;
  std::vector<float> scratch_[2];
  const Batch* batch_ = nullptr;
  States* states_ = nullptr;
};

/// An op bound to its node; whatever it needs beyond values is allocated when it is made.
using Kernel = std::function<void(Run&)>;
using KernelFactory = Kernel (*)(Run&, const Node&);

/// nullptr for an op that this backend lacks.
KernelFactory find_kernel(std::string_view op);

Kernel make_embed(Run&, const Node&);
Kernel make_linear(Run&, const Node&);
Kernel make_linear_group(Run&, const Node&);
Kernel make_linear_glu(Run&, const Node&);
Kernel make_linear_add(Run&, const Node&);
Kernel make_rms_norm(Run&, const Node&);
Kernel make_layer_norm(Run&, const Node&);
Kernel make_l2_norm(Run&, const Node&);
Kernel make_row_sum(Run&, const Node&);
Kernel make_add(Run&, const Node&);
Kernel make_sub(Run&, const Node&);
Kernel make_mul(Run&, const Node&);
Kernel make_scale_shift(Run&, const Node&);
Kernel make_unary(Run&, const Node&);
Kernel make_glu(Run&, const Node&);
Kernel make_softcap(Run&, const Node&);
Kernel make_clamp(Run&, const Node&);
Kernel make_position_scale(Run&, const Node&);
Kernel make_reshape(Run&, const Node&);
Kernel make_slice(Run&, const Node&);
Kernel make_take_rows(Run&, const Node&);
Kernel make_rope(Run&, const Node&);
Kernel make_attention(Run&, const Node&);
Kernel make_linear_per_head(Run&, const Node&);
Kernel make_mla_attention(Run&, const Node&);
Kernel make_encoder_attention(Run&, const Node&);
Kernel make_pool(Run&, const Node&);
Kernel make_causal_conv1d(Run&, const Node&);
Kernel make_token_shift(Run&, const Node&);
Kernel make_ssm_scan(Run&, const Node&);
Kernel make_ssd_scan(Run&, const Node&);
Kernel make_wkv6(Run&, const Node&);
Kernel make_wkv7(Run&, const Node&);
Kernel make_gated_delta_rule(Run&, const Node&);
Kernel make_moe_route(Run&, const Node&);
Kernel make_sparse_mixer(Run&, const Node&);
Kernel make_moe_ffn(Run&, const Node&);

inline double dot(const float* a, const float* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

}  // namespace tenon::reference
