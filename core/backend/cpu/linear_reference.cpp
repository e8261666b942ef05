// The plain product: every type the reference dequantiser reads, sums in double. The last in the list and the oracle of
// the others.
#include "backend/cpu/linear_parts.hpp"

namespace tenon::cpu {
namespace {

const char* refuse(const LinearShape& s) {
  const DTypeInfo& info = dtype_info(s.w);
  if (!info.has_reference) return "the weight type has no reference dequantiser";
  return info.padded_rows || s.k % info.block_elems == 0 ? nullptr : "k is no multiple of the weight type's block";
}

size_t scratch_bytes(const LinearShape& s) { return static_cast<size_t>(s.k) * sizeof(float); }

void run(const LinearCall& c) {
  const LinearShape& s = c.shape;
  const int64_t row_bytes = dtype_row_stride(s.w, s.k);
  float* const w = reinterpret_cast<float*>(c.scratch);
  for (int64_t n = c.n_begin; n < c.n_end; ++n) {
    dequantize_row(s.w, c.w + n * row_bytes, w, s.k);
    for (int64_t m = 0; m < s.m; ++m) {
      const float* const x = c.x + m * c.ldx;
      double sum = 0;
      for (int64_t k = 0; k < s.k; ++k) sum += static_cast<double>(x[k]) * w[k];
      c.y[m * c.ldy + n] = static_cast<float>(sum);
    }
  }
}

constexpr LinearImpl kImpl{"reference", refuse, nullptr, scratch_bytes, 1, run};

}  // namespace

ImplTable reference_impls() { return {&kImpl, 1}; }

}  // namespace tenon::cpu
