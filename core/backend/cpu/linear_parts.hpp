// What the files of the product kernels owe each other: each instruction set hands over a table of implementations.
// Kernel files are compiled with their own instruction flags, so nothing here may be an inline function.
#pragma once

#include <cstddef>

#include "backend/cpu/linear.hpp"

namespace tenon::cpu {

struct ImplTable {
  const LinearImpl* first;
  size_t count;
  ExpandRow expand = nullptr;
};

ImplTable avx512_vnni_impls();  // kernels/avx512/
ImplTable avx2_impls();         // kernels/avx2/
ImplTable dnnl_impls();         // linear_dnnl.cpp, or empty
ImplTable reference_impls();    // linear_reference.cpp: the plain loop

/// The templates of avx512_vnni_impls() over emulated instructions, for tests on processors without them.
ImplTable emulated_vnni_impls();

}  // namespace tenon::cpu
