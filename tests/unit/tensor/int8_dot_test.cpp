// gcc 12 with VNNI drops the cast in `(int8_t)u8[i] * s8[i]` and multiplies unsigned; through real int8_t pointers the
// sum is right. This file is compiled at -O3 for the machine at hand and holds the forms that Tenon's code uses.
#include <doctest/doctest.h>

#include <cstring>

#include "tensor/dequantize_internal.hpp"

using namespace tenon;

namespace {

struct Data {
  Data() {
    for (int i = 0; i < 32; ++i) {
      p[i] = static_cast<std::byte>(200 + i);
      q[i] = static_cast<int8_t>(i - 16);
    }
  }
  std::byte p[32];
  int8_t q[32];
};

constexpr int kExpected = 3376;  // sum of (200 + i - 256) * (i - 16)

[[gnu::noinline]] int dot(const int8_t* p, const int8_t* q) {
  int s = 0;
  for (int i = 0; i < 32; ++i) s += static_cast<int>(p[i]) * q[i];
  return s;
}

[[gnu::noinline]] int dot_through_helper(const std::byte* p, const int8_t* q) {
  const int8_t* signed_p = blocks::as_int8(p);
  int s = 0;
  for (int i = 0; i < 32; ++i) s += static_cast<int>(signed_p[i]) * q[i];
  return s;
}

// The trap itself: reported, because what this compiler does with it decides nothing here.
[[gnu::noinline]] int dot_with_cast(const uint8_t* p, const int8_t* q) {
  int s = 0;
  for (int i = 0; i < 32; ++i) s += static_cast<int>(static_cast<int8_t>(p[i])) * q[i];
  return s;
}

}  // namespace

TEST_CASE("sums of signed products through int8_t pointers are right") {
  const Data data;
  CHECK(dot(reinterpret_cast<const int8_t*>(data.p), data.q) == kExpected);
  CHECK(dot_through_helper(data.p, data.q) == kExpected);
  const int cast = dot_with_cast(reinterpret_cast<const uint8_t*>(data.p), data.q);
  if (cast != kExpected) MESSAGE("this compiler miscompiles the cast form: ", cast, " instead of ", kExpected);
}

TEST_CASE("dequantised Q8_0 times int8 gives the right sum on the same data") {
  const Data data;
  std::byte block[34];
  const uint16_t one = float_to_half(1.0f);
  std::memcpy(block, &one, 2);
  std::memcpy(block + 2, data.p, 32);
  float values[32];
  dequantize_row(DType::q8_0, block, values, 32);
  float s = 0;
  for (int i = 0; i < 32; ++i) s += values[i] * static_cast<float>(data.q[i]);
  CHECK(s == static_cast<float>(kExpected));
}
