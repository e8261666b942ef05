// Product kernels compiled for AVX2, FMA and F16C. The code is in kernels/shared.
#include "backend/cpu/kernels/avx2/isa.hpp"
#include "backend/cpu/kernels/shared/linear_table.hpp"

namespace tenon::cpu {

ImplTable avx2_impls() { return impl_table<Avx2>(); }

}  // namespace tenon::cpu
