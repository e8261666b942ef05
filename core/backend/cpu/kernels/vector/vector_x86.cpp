// The kernels of vector.hpp compiled for x86-64 (flags in cpu.cmake).
#define VEC_FLOATS 4
#define VEC_TABLE kVectorX86
#define VEC_NAME "x86-64"
#include "backend/cpu/kernels/vector/vector_impl.inc"
