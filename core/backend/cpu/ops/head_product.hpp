// Products of each head's rows with its own matrix, W [H, n, k]: linear_per_head, and what latent attention needs.
#pragma once

#include "backend/cpu/op.hpp"

namespace tenon::cpu {

class HeadProduct {
 public:
  /// For up to max_m rows a call.
  HeadProduct(CompileCtx& ctx, ValueId w, int64_t max_m);

  int64_t heads() const { return heads_; }
  int64_t n() const { return n_; }
  int64_t k() const { return k_; }
  const std::string& explain() const { return explain_; }
  /// A member's scratch for any of the calls below.
  uint64_t scratch_bytes() const { return std::max(pack_bytes_ + impl_bytes_, rows_bytes_); }

  /// y [m, n] = x [m, k] W[head]^T; rows of x and y are ldx and ldy floats apart.
  void run(int64_t head, const float* x, int64_t ldx, int64_t m, float* y, int64_t ldy, std::byte* scratch) const;
  /// y [m, k] = x [m, n] W[head]: the matrix's rows weighted by x.
  void run_transposed(int64_t head, const float* x, int64_t ldx, int64_t m, float* y, int64_t ldy,
                      std::byte* scratch) const;
  /// W[head] as float32 [n, k], or its transpose [k, n].
  void expand(int64_t head, float* to, std::byte* scratch) const;
  void expand_transposed(int64_t head, float* to, std::byte* scratch) const;

 private:
  const std::byte* row(int64_t head, int64_t r) const {
    return w_.data + static_cast<uint64_t>(head * n_ + r) * row_bytes_;
  }
  const HostTensor& w_;
  int64_t heads_, n_, k_;
  uint64_t row_bytes_, pack_bytes_ = 0, impl_bytes_ = 0, rows_bytes_ = 0;
  bool exact_;
  const LinearChoice& choice_;
  ExpandRow expand_;
  std::string explain_;
  const VectorKernels& kernels_;
};

}  // namespace tenon::cpu
