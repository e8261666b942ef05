// How one attention layer's step is cut into tasks: (sequence, block of query rows, kv head, run of pages).
#pragma once

#include <cstdint>
#include <vector>

#include "backend/cpu/op.hpp"

namespace tenon::cpu {

struct AttentionTask {
  int32_t seq;
  int32_t head;             // kv head
  int32_t row0, n_rows;     // of the step
  int32_t page0, page1;     // pages whose keys it reads
  int32_t piece, n_pieces;  // of a context that several members share
};

/// The tasks of one step; built serially before the team starts, in storage of fixed size.
class AttentionPlan {
 public:
  AttentionPlan(int64_t kv_heads, int64_t group, int64_t window, int64_t max_tokens, int64_t max_seqs, int threads);

  void prepare(const StepCtx& ctx);
  const std::vector<AttentionTask>& tasks() const { return tasks_; }
  /// Every task holds all new rows of its sequence: it can append them itself, before it attends, without a barrier.
  bool self_contained() const { return self_contained_; }
  bool split() const { return split_; }
  int64_t max_queries() const { return block_rows_ * group_; }
  size_t max_split_tasks() const { return max_split_tasks_; }

 private:
  void add_block(const SeqRows& seq, int32_t index, int32_t row0, int32_t n_rows, int32_t n_pieces);

  int64_t kv_heads_, group_, window_;
  int64_t block_rows_;
  int threads_;
  size_t max_split_tasks_;
  bool self_contained_ = false, split_ = false;
  std::vector<AttentionTask> tasks_;
};

}  // namespace tenon::cpu
