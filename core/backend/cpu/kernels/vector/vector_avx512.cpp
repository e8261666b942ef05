// The kernels of vector.hpp compiled for avx512 (flags in cpu.cmake).
#define VEC_FLOATS 16
#define VEC_TABLE kVectorAvx512
#define VEC_NAME "avx512"
#include "backend/cpu/kernels/vector/vector_impl.inc"
