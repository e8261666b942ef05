// Product kernels compiled for AVX-512 with VNNI. The code is in kernels/shared.
#include "backend/cpu/kernels/avx512/isa.hpp"
#include "backend/cpu/kernels/shared/linear_table.hpp"

namespace tenon::cpu {

ImplTable avx512_vnni_impls() { return impl_table<Avx512Vnni>(); }

}  // namespace tenon::cpu
