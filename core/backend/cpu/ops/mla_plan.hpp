// How one latent attention layer's step is cut into tasks, and which of two ways each sequence goes: in the latent
// space (queries meet the cached rows, all heads share a pass over them), or expanded (keys and values of one head are
// made from the rows, tile by tile). The first reads little, the second computes less once many queries share a row.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/cpu/op.hpp"
#include "graph/catalogue.hpp"

namespace tenon::cpu {

struct LatentTask {
  int32_t seq;
  int32_t head0;            // of heads_per_task()
  int32_t row0, n_rows;     // of the step
  int32_t page0, page1;     // pages whose rows it reads
  int32_t piece, n_pieces;  // of a context that several members share
};

struct ExpandedTask {
  int32_t seq;
  int32_t head;
  int32_t row0, n_rows;
};

/// Consecutive rows of the step that attend in the latent space, at most kRunRows.
struct LatentRun {
  int32_t row0, n_rows;
};

class MlaPlan {
 public:
  static constexpr int64_t kRunRows = 64;      // rows of one product with a head's matrix
  static constexpr int64_t kExpandRows = 512;  // queries that share one expansion
  MlaPlan(const MlaSpec& spec, const ExecOptions& options, int threads);

  void prepare(const StepCtx& ctx);
  const std::vector<LatentTask>& latent() const { return latent_; }
  const std::vector<ExpandedTask>& expanded() const { return expanded_; }
  const std::vector<LatentRun>& runs() const { return runs_; }
  bool split() const { return split_; }
  int64_t heads_per_task() const { return heads_; }
  int64_t max_queries() const { return rows_ * heads_; }
  size_t max_split_tasks() const { return max_split_tasks_; }
  int64_t max_expand_rows() const { return std::min(options_.max_tokens, kExpandRows); }

  /// True when `n_rows` queries behind `pos` cached rows are cheaper expanded.
  static bool expands(const MlaSpec& spec, int64_t pos, int64_t n_rows);

 private:
  void add_latent(const SeqRows& seq, int32_t index, int32_t n_pieces);
  void add_expanded(const SeqRows& seq, int32_t index);
  void add_run(const SeqRows& seq);

  MlaSpec spec_;
  ExecOptions options_;
  int threads_;
  int64_t heads_, rows_;  // of a latent task
  size_t max_split_tasks_;
  bool split_ = false;
  std::vector<LatentTask> latent_;
  std::vector<ExpandedTask> expanded_;
  std::vector<LatentRun> runs_;
};

}  // namespace tenon::cpu
