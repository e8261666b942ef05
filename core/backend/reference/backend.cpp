// Compiles a graph into a list of kernels and runs them in order.
#include <algorithm>
#include <array>
#include <utility>

#include "backend/reference/reference.hpp"
#include "backend/reference/run.hpp"
#include "base/error.hpp"

namespace tenon {
namespace reference {

Run::Run(Graph graph, std::vector<HostTensor> weights, const ExecOptions& options)
    : graph_(std::move(graph)),
      weights_(std::move(weights)),
      plan_(plan_arena(graph_, options.max_tokens, options.max_rows)),
      arena_(plan_.bytes) {
  if (weights_.size() != graph_.weights.size())
    fail(ErrorCode::internal, "[reference] {} weights for {} declared", weights_.size(), graph_.weights.size());
  size_t longest = 1;
  for (size_t i = 0; i < weights_.size(); ++i) {
    if (weights_[i].shape != graph_.weights[i].shape)
      fail(ErrorCode::internal, "[reference] weight \"{}\" has shape {}, declared {}", graph_.weights[i].name,
           shape_text(weights_[i].shape), shape_text(graph_.weights[i].shape));
    longest = std::max(longest, static_cast<size_t>(weights_[i].row_elems()));
  }
  for (std::vector<float>& s : scratch_) s.resize(longest);
}

void Run::begin(const Batch& batch, States& states) {
  batch_ = &batch;
  states_ = &states;
}

int64_t Run::extent(int64_t dim) const {
  if (dim == kDimTokens) return static_cast<int64_t>(batch_->tokens.size());
  if (dim == kDimRows) return static_cast<int64_t>(batch_->rows.size());
  return dim;
}

int64_t Run::elements(ValueId id) const {
  int64_t n = 1;
  for (int64_t d : graph_.value(id).shape) n *= extent(d);
  return n;
}

std::byte* Run::bytes(ValueId id) {
  const ValueId root = plan_.alias[id - 1] ? plan_.alias[id - 1] : id;
  if (plan_.offset[root - 1] == ArenaPlan::kNoPlace) fail(ErrorCode::internal, "[reference] value {} has no place", id);
  return arena_.data() + plan_.offset[root - 1];
}

const int32_t* Run::i32(ValueId id) {
  const GraphValue& value = graph_.value(id);
  if (value.kind != ValueKind::input) return i32_result(id);
  if (value.name == "tokens") return batch_->tokens.data();
  return value.name == "positions" ? batch_->positions.data() : batch_->rows.data();
}

const float* Run::weight_row(ValueId id, int64_t r, Slot slot) {
  const HostTensor& tensor = weights_[graph_.value(id).weight - 1];
  float* row = scratch_[static_cast<size_t>(slot)].data();
  dequantize_row(tensor.dtype, tensor.row(r), row, tensor.row_elems());
  return row;
}

KernelFactory find_kernel(std::string_view op) {
  static constexpr std::pair<std::string_view, KernelFactory> kKernels[] = {
      {"tenon.embed/1", make_embed},
      {"tenon.linear/1", make_linear},
      {"tenon.rms_norm/1", make_rms_norm},
      {"tenon.layer_norm/1", make_layer_norm},
      {"tenon.l2_norm/1", make_l2_norm},
      {"tenon.row_sum/1", make_row_sum},
      {"tenon.add/1", make_add},
      {"tenon.sub/1", make_sub},
      {"tenon.mul/1", make_mul},
      {"tenon.scale_shift/1", make_scale_shift},
      {"tenon.unary/1", make_unary},
      {"tenon.glu/1", make_glu},
      {"tenon.softcap/1", make_softcap},
      {"tenon.clamp/1", make_clamp},
      {"tenon.position_scale/1", make_position_scale},
      {"tenon.reshape/1", make_reshape},
      {"tenon.slice/1", make_slice},
      {"tenon.take_rows/1", make_take_rows},
      {"tenon.rope/1", make_rope},
      {"tenon.attention/1", make_attention},
      {"tenon.linear_per_head/1", make_linear_per_head},
      {"tenon.mla_attention/1", make_mla_attention},
      {"tenon.encoder_attention/1", make_encoder_attention},
      {"tenon.pool/1", make_pool},
      {"tenon.causal_conv1d/1", make_causal_conv1d},
      {"tenon.token_shift/1", make_token_shift},
      {"tenon.ssm_scan/1", make_ssm_scan},
      {"tenon.ssd_scan/1", make_ssd_scan},
      {"tenon.wkv6/1", make_wkv6},
      {"tenon.wkv7/1", make_wkv7},
      {"tenon.gated_delta_rule/1", make_gated_delta_rule},
      {"tenon.moe_route/1", make_moe_route},
      {"tenon.sparse_mixer/1", make_sparse_mixer},
      {"tenon.moe_ffn/1", make_moe_ffn},
      {"host.linear_group", make_linear_group},
      {"host.linear_glu", make_linear_glu},
      {"host.linear_add", make_linear_add}};
  for (const auto& [name, factory] : kKernels)
    if (name == op) return factory;
  return nullptr;
}

namespace {

void check_force(const std::string& force) {
  for (size_t begin = 0; begin < force.size();) {
    const size_t end = std::min(force.find(',', begin), force.size());
    const std::string pair = force.substr(begin, end - begin);
    const size_t eq = pair.find('=');
    if (eq == std::string::npos || pair.substr(eq + 1) != "reference")
      fail(ErrorCode::usage, "[reference] cannot force \"{}\"; the only implementation here is \"reference\"", pair);
    begin = end + 1;
  }
}

class ReferenceExecutable final : public Executable {
 public:
  ReferenceExecutable(const Graph& graph, std::vector<HostTensor> weights, const ExecOptions& options)
      : run_(graph, std::move(weights), options), options_(options) {
    check_force(options.force);
    for (const Node& node : run_.graph().nodes) {
      const KernelFactory factory = find_kernel(node.op);
      if (!factory)
        fail(ErrorCode::unsupported, "[reference] no implementation of {}, at {}", node.op, location_text(node.at));
      kernels_.push_back(factory(run_, node));
    }
  }

  void run(const Batch& batch, StatePool& states) override {
    if (std::cmp_greater(batch.tokens.size(), options_.max_tokens) ||
        std::cmp_greater(batch.rows.size(), options_.max_rows) || batch.positions.size() != batch.tokens.size())
      fail(ErrorCode::internal, "[reference] {} tokens, {} positions and {} rows; compiled for {} and {}",
           batch.tokens.size(), batch.positions.size(), batch.rows.size(), options_.max_tokens, options_.max_rows);
    auto* own = dynamic_cast<States*>(&states);
    if (!own) fail(ErrorCode::internal, "[reference] the states belong to another backend");
    run_.begin(batch, *own);
    for (const Kernel& kernel : kernels_) kernel(run_);
    outputs_.clear();
    for (const auto& [name, id] : run_.graph().outputs)
      outputs_.emplace_back(name, std::span<const float>(run_.f32(id), static_cast<size_t>(run_.elements(id))));
  }

  std::span<const float> output(std::string_view name) const override {
    for (const auto& [key, span] : outputs_)
      if (key == name) return span;
    fail(ErrorCode::internal, "[reference] no output \"{}\" of a run", name);
  }

  std::vector<std::string> explain() const override {
    std::vector<std::string> lines;
    for (const Node& node : run_.graph().nodes) lines.push_back(node.op + ": reference");
    return lines;
  }

  uint64_t arena_bytes() const override { return run_.arena_bytes(); }

 private:
  Run run_;
  ExecOptions options_;
  std::vector<Kernel> kernels_;
  std::vector<std::pair<std::string_view, std::span<const float>>> outputs_;
};

class ReferenceBackend final : public Backend {
 public:
  std::string name() const override { return "reference"; }
  std::string isa() const override { return "none"; }
  bool wants_fused() const override { return false; }
  std::unique_ptr<Executable> compile(const Graph& graph, std::vector<HostTensor> weights,
                                      const ExecOptions& options) override {
    return std::make_unique<ReferenceExecutable>(graph, std::move(weights), options);
  }
  std::unique_ptr<StatePool> make_states(const Graph& graph, const StateSizes& sizes, bool exact) override {
    return std::make_unique<States>(graph, sizes, exact);
  }
};

}  // namespace
}  // namespace reference

std::unique_ptr<Backend> make_reference_backend() { return std::make_unique<reference::ReferenceBackend>(); }

}  // namespace tenon
