// What the dequantiser files share: unaligned reads, and one function per block format.
// Each format function writes one block and keeps the reference's order of float operations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tensor/dtype.hpp"

namespace tenon::blocks {

template <typename T>
T load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

inline float load_half(const std::byte* p) { return half_to_float(load<uint16_t>(p)); }
inline uint8_t u8(const std::byte* p, int i) { return static_cast<uint8_t>(p[i]); }
// Signed quants are read through int8_t pointers: gcc 12 with VNNI drops a cast from uint8_t inside a sum of products.
inline const int8_t* as_int8(const std::byte* p) { return reinterpret_cast<const int8_t*>(p); }

void q2_k(const std::byte* src, float* dst);
void q3_k(const std::byte* src, float* dst);
void q4_k(const std::byte* src, float* dst);
void q5_k(const std::byte* src, float* dst);
void q6_k(const std::byte* src, float* dst);
void iq1_s(const std::byte* src, float* dst);
void iq1_m(const std::byte* src, float* dst);
void iq2_xxs(const std::byte* src, float* dst);
void iq2_xs(const std::byte* src, float* dst);
void iq2_s(const std::byte* src, float* dst);
void iq3_xxs(const std::byte* src, float* dst);
void iq3_s(const std::byte* src, float* dst);
void iq4_nl(const std::byte* src, float* dst);
void iq4_xs(const std::byte* src, float* dst);
void tq1_0(const std::byte* src, float* dst);
void tq2_0(const std::byte* src, float* dst);
void mxfp4(const std::byte* src, float* dst);
void nvfp4(const std::byte* src, float* dst);

}  // namespace tenon::blocks
