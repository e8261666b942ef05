// What both ways of latent attention share: operands, widths, rotations, the state's rows.
#pragma once

#include "backend/cpu/ops/rope_table.hpp"
#include "backend/cpu/state_pool.hpp"
#include "graph/catalogue.hpp"

namespace tenon::cpu {

/// Rows that vector kernels read are padded with zeros to a multiple of 16 floats.
inline int64_t pad16(int64_t n) { return (n + 15) / 16 * 16; }

/// Hands out pieces of a member's scratch; counts them when there is none yet.
class Carver {
 public:
  explicit Carver(std::byte* at) : at_(at) {}
  float* floats(int64_t n) { return reinterpret_cast<float*>(bytes(static_cast<uint64_t>(n) * 4)); }
  int32_t* ints(int64_t n) { return reinterpret_cast<int32_t*>(bytes(static_cast<uint64_t>(n) * 4)); }
  std::byte* bytes(uint64_t n) {
    std::byte* p = at_ ? at_ + used_ : nullptr;
    used_ += align64(n);
    return p;
  }
  uint64_t used() const { return used_; }

 private:
  std::byte* at_;
  uint64_t used_ = 0;
};

/// A running softmax over some queries.
struct Softmax {
  float *q, *max, *sum, *acc, *s;
  int32_t *lo, *hi;
};
inline Softmax carve_softmax(Carver& c, int64_t nq, int64_t dk, int64_t dv) {
  Softmax s;
  s.q = c.floats(nq * dk), s.max = c.floats(nq), s.sum = c.floats(nq), s.acc = c.floats(nq * dv);
  s.s = c.floats(nq * kPageTokens), s.lo = c.ints(nq), s.hi = c.ints(nq);
  return s;
}

struct MlaParts {
  MlaParts(CompileCtx& ctx, const FusedNode& fused, std::string* explanation);

  /// A rotary part of `row` of the step, rotated and scaled.
  void turn(const RopeTable* table, int64_t row, const float* x, float scale, float* y) const;
  /// Where the row of position `p` of a sequence is kept, and its page.
  std::byte* kept_row(const StepCtx& ctx, const SeqRows& seq, int64_t p) const;
  uint64_t row_bytes() const { return static_cast<uint64_t>(width) * (half ? 2 : 4); }

  Val nope, pe, c, k_pe, y;
  MlaSpec spec;
  StateId state;
  int64_t width, row_pad, latent_pad, value_pad;  // of a latent row, and the padded ones
  bool half, exact;
  RopeTable *rope_q = nullptr, *rope_k = nullptr;
  const VectorKernels& kernels;
};

}  // namespace tenon::cpu
