// Latent attention expanded: one head's keys and values are made from the rows of the state, a tile at a time, and meet
// all queries of a task.
#pragma once

#include "backend/cpu/ops/head_product.hpp"
#include "backend/cpu/ops/mla_parts.hpp"
#include "backend/cpu/ops/mla_plan.hpp"
#include "backend/cpu/ops/packing.hpp"

namespace tenon::cpu {

class MlaExpanded {
 public:
  MlaExpanded(CompileCtx& ctx, const MlaParts& parts, const HeadProduct& k_b, const HeadProduct& v_b, int64_t max_rows);
  uint64_t scratch_bytes() const;
  void attend(const StepCtx& ctx, const ExpandedTask& task, std::byte* scratch) const;

 private:
  struct Buffers {
    Softmax soft;
    float* w;            // [N + V][L] of one head
    float* rows;         // [keys][row_pad]
    float* kv;           // [keys][N + V]
    float *key, *value;  // one page as attention reads it
    std::byte *pack, *scratch;
  };
  Buffers carve(Carver& c) const;
  AttnTile load_queries(const StepCtx& ctx, const ExpandedTask& task, const Buffers& b) const;
  void expand_head(int64_t head, const Buffers& b) const;
  void expand_rows(const StepCtx& ctx, const SeqRows& seq, int64_t key0, int64_t n_keys, const Buffers& b) const;
  void meet_page(const AttnTile& tile, int64_t first_pos, int64_t key0, int64_t n_keys, int64_t at,
                 const Buffers& b) const;

  const MlaParts& p_;
  const HeadProduct &k_b_, &v_b_;
  int64_t max_rows_;
  const LinearChoice& choice_;
  PackBound bound_;
};

}  // namespace tenon::cpu
