// The kernels of vector.hpp compiled for avx2 (flags in cpu.cmake).
#define VEC_FLOATS 8
#define VEC_TABLE kVectorAvx2
#define VEC_NAME "avx2"
#include "backend/cpu/kernels/vector/vector_impl.inc"
