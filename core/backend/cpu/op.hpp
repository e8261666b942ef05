// What the CPU executable is made of: op instances that run as one SPMD program, every member of the team walking the
// same list. An op is built once at compile time with the addresses of everything it touches, and allocates nothing
// later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backend/backend.hpp"
#include "backend/cpu/kernels/vector/vector.hpp"
#include "backend/cpu/linear.hpp"
#include "base/thread_pool.hpp"
#include "graph/ir.hpp"
#include "graph/passes.hpp"

namespace tenon::cpu {

class CpuStatePool;
class RopeTable;
class WorkShares;

/// What changes from step to step.
struct StepCtx {
  const Batch* batch = nullptr;
  CpuStatePool* states = nullptr;
  int64_t n_tokens = 0, n_rows = 0;
  std::byte* shared = nullptr;        // scratch of the op that runs, seen by all members
  std::byte* private_base = nullptr;  // members' own scratch, one after the other
  uint64_t private_stride = 0;
  WorkShares* shares = nullptr;

  std::byte* mine(const Team& team) const { return private_base + static_cast<uint64_t>(team.rank()) * private_stride; }
};

/// A graph value as ops see it: rows of `width` elements.
struct Val {
  enum class Source : uint8_t { none, arena, tokens, positions, rows };
  Source source = Source::none;
  std::byte* data = nullptr;  // of an arena value
  int64_t lead = 1;           // first dimension, symbolic ones as in Shape
  int64_t rows_per_lead = 1;  // rows per index of the first dimension; the first dimension itself for rank 1 literals
  int64_t width = 1;

  int64_t lead_count(const StepCtx& ctx) const {
    return lead == kDimTokens ? ctx.n_tokens : lead == kDimRows ? ctx.n_rows : lead;
  }
  int64_t rows(const StepCtx& ctx) const { return lead_count(ctx) * rows_per_lead; }
  float* f32() const { return reinterpret_cast<float*>(data); }
  const int32_t* i32(const StepCtx& ctx) const;
};

class CpuOp {
 public:
  virtual ~CpuOp() = default;
  /// Serial work before the team starts.
  virtual void prepare(const StepCtx&) {}
  /// Called by every member. No barrier is needed at its start or end: the executable puts them where data crosses.
  virtual void run(const StepCtx& ctx, const Team& team) = 0;
  /// What runs it and why better implementations refused.
  virtual std::string explain() const = 0;
  virtual uint64_t expert_bytes_read() const { return 0; }
};

/// A node with the neighbours that were folded into it.
struct FusedNode {
  Node node;
  std::optional<Node> norm;            // of a linear: normalises x first; its result is an extra output of `node`
  std::optional<Node> rope_q, rope_k;  // of an attention, or of a latent one's q_pe and k_pe
  size_t n_outputs = 0;                // of the original node
};

/// The implementations of one weight shape for every count of rows.
class LinearChoice {
 public:
  struct From {
    int64_t m;  // from this many rows on
    const LinearImpl* impl;
  };
  explicit LinearChoice(std::vector<From> from) : from_(std::move(from)) {}
  const LinearImpl& at(int64_t m) const {
    size_t i = from_.size() - 1;
    while (from_[i].m > m) --i;
    return *from_[i].impl;
  }
  const std::vector<From>& ranges() const { return from_; }

 private:
  std::vector<From> from_;
};

/// Everything an op may ask for while it is built.
class CompileCtx {
 public:
  CompileCtx(const Graph& graph, std::vector<HostTensor> weights, const ExecOptions& options, int threads);

  const Graph& graph;
  const ExecOptions options;
  const int threads;

  Val value(ValueId id) const;
  const HostTensor& weight(ValueId id) const;         // its bytes one after the other
  const HostTensor& stored_weight(ValueId id) const;  // maybe in parts
  /// A weight as float32, converted once; nullptr for operand 0.
  const float* weight_f32(ValueId id);
  const LinearChoice& linear(std::string_view op, DType w, int64_t n, int64_t k, int64_t max_m);
  /// Why each implementation before the chosen one refused, for m = 1 and m = max_m.
  std::string explain_linear(const LinearChoice& choice, DType w, int64_t n, int64_t k, int64_t max_m) const;
  /// The first vector kernels that this processor runs, or the forced ones; `explanation` says why earlier ones
  /// refused.
  const VectorKernels& vector_kernels(std::string_view op, std::string* explanation);
  RopeTable& rope_table(const Node& node);
  int64_t max_lead(const Val& v) const;

  void need_shared(uint64_t bytes) { shared_bytes = bytes > shared_bytes ? bytes : shared_bytes; }
  void need_private(uint64_t bytes) { private_bytes = bytes > private_bytes ? bytes : private_bytes; }
  uint64_t shared_bytes = 0, private_bytes = 0;

  std::byte* arena = nullptr;
  ArenaPlan plan;

  /// Error{usage} when a forced implementation ran nothing.
  void check_forced() const;
  /// What outlives compilation: weights, their float32 copies, choices and tables.
  struct Keep {
    std::vector<HostTensor> weights;
    std::map<WeightId, HostTensor> f32;
    std::map<std::string, LinearChoice, std::less<>> choices;
    std::vector<std::unique_ptr<RopeTable>> ropes;
  };
  std::shared_ptr<Keep> keep;

 private:
  const std::string* forced(std::string_view op) const;
  std::map<std::string, std::string, std::less<>> force_;
  std::map<std::string, bool, std::less<>> force_used_;
};

using OpFactory = std::unique_ptr<CpuOp> (*)(CompileCtx&, const FusedNode&);
/// nullptr for an op that this backend lacks.
OpFactory find_factory(std::string_view op);

// One per family, each in its own file under ops/.
std::unique_ptr<CpuOp> make_embed(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_linear(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_norm(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_row_sum(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_rope(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_rope_table(CompileCtx&, RopeTable&);
std::unique_ptr<CpuOp> make_attention(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_linear_per_head(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_mla_attention(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_encoder_attention(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_pool(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_elementwise(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_view(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_slice(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_position_scale(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_take_rows(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_causal_conv1d(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_token_shift(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_ssm_scan(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_matrix_state(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_moe_route(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_sparse_mixer(CompileCtx&, const FusedNode&);
std::unique_ptr<CpuOp> make_moe_ffn(CompileCtx&, const FusedNode&);

inline uint64_t align64(uint64_t n) { return (n + 63) & ~uint64_t{63}; }

}  // namespace tenon::cpu
