// oneDNN as a provider for float32 weights and many activation rows: dnnl_sgemm on the calling thread's own columns,
// the weights in place. oneDNN's own threads stay off: a team of OpenMP's would spin against the pool for the same
// cores.
#include <oneapi/dnnl/dnnl.h>

#include "backend/cpu/linear_parts.hpp"

// oneDNN's own OpenMP runtime, whichever compiler builds this; declared here because clang comes without omp.h.
extern "C" void omp_set_num_threads(int threads);

namespace tenon::cpu {
namespace {

const char* refuse(const LinearShape& s) {
  if (s.w != DType::f32) return "only float32 weights";
  return s.m < 128 ? "fewer than 128 activation rows" : nullptr;
}

size_t scratch_bytes(const LinearShape&) { return 0; }

void run(const LinearCall& c) {
  const LinearShape& s = c.shape;
  const float* const w = reinterpret_cast<const float*>(c.w) + c.n_begin * s.k;
  float* const y = c.y + c.n_begin;
  omp_set_num_threads(1);
  if (dnnl_sgemm('N', 'T', s.m, c.n_end - c.n_begin, s.k, 1.0f, c.x, c.ldx, w, s.k, 0.0f, y, c.ldy) == dnnl_success)
    return;
  for (int64_t m = 0; m < s.m; ++m)  // out of memory inside oneDNN: slow and right
    for (int64_t n = 0; n < c.n_end - c.n_begin; ++n) {
      float sum = 0;
      for (int64_t k = 0; k < s.k; ++k) sum += c.x[m * c.ldx + k] * w[n * s.k + k];
      y[m * c.ldy + n] = sum;
    }
}

constexpr LinearImpl kImpl{"dnnl-sgemm", refuse, nullptr, scratch_bytes, 48, run};

}  // namespace

ImplTable dnnl_impls() { return {&kImpl, 1}; }

}  // namespace tenon::cpu
