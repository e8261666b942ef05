// A graph compiled for the processor: arena, op list, and the barriers between ops.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.hpp"
#include "backend/cpu/op.hpp"
#include "backend/cpu/reservation.hpp"
#include "backend/cpu/work_shares.hpp"

namespace tenon::cpu {

class CpuExecutable final : public Executable {
 public:
  CpuExecutable(const Graph& graph, std::vector<HostTensor> weights, const ExecOptions& options,
                std::shared_ptr<ThreadPool> pool);

  void run(const Batch& batch, StatePool& states) override;
  std::span<const float> output(std::string_view name) const override;
  std::vector<std::string> explain() const override { return explain_; }
  uint64_t arena_bytes() const override { return arena_.bytes() + scratch_.bytes(); }
  uint64_t expert_bytes_read() const override;

 private:
  struct Step {
    std::unique_ptr<CpuOp> op;
    bool barrier_before = false;
  };
  void build_ops(CompileCtx& ctx, const std::vector<FusedNode>& nodes);
  void place_barriers(const CompileCtx& ctx, const std::vector<const FusedNode*>& nodes);

  Graph graph_;
  ExecOptions options_;
  std::shared_ptr<ThreadPool> pool_;
  WorkShares shares_;
  std::shared_ptr<CompileCtx::Keep> keep_;
  Reservation arena_, scratch_;
  std::vector<Step> steps_;
  std::map<std::string, Val, std::less<>> outputs_;
  std::vector<std::string> explain_;
  StepCtx ctx_;
};

}  // namespace tenon::cpu
