// The type table, and conversions of 16-bit floats checked over all their values.
#include "tensor/dtype.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>

#include "base/error.hpp"

using namespace tenon;

TEST_CASE("ids of GGUF") {
  CHECK(dtype_from_gguf(0) == DType::f32);
  CHECK(dtype_from_gguf(3) == DType::q4_1);
  CHECK(dtype_from_gguf(40) == DType::nvfp4);
  for (uint32_t id : {4u, 5u, 9u, 15u, 31u, 32u, 33u, 36u, 37u, 38u, 41u, 42u, 43u, 0xffffffffu})
    CHECK(dtype_from_gguf(id) == std::nullopt);
  CHECK(dtype_from_name("BF16") == DType::bf16);
  CHECK(dtype_from_name("bf16") == std::nullopt);
  CHECK(dtype_info(DType::q6_k).block_bytes == 210);
}

TEST_CASE("sizes are checked") {
  CHECK(dtype_bytes(DType::q8_0, 64, "w") == 68);
  CHECK_THROWS_WITH_AS(dtype_bytes(DType::q8_0, 33, "w"),
                       "[w] 33 elements are no multiple of the 32 in a block of Q8_0", Error);
  CHECK_THROWS_AS(dtype_bytes(DType::f64, ~0ull, "w"), Error);
}

TEST_CASE("binary16: every value there and back, and ties to even") {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<uint16_t>(h);
    const float f = half_to_float(half);
    const int exponent = (h >> 10) & 31, fraction = h & 1023;
    if (exponent == 31 && fraction) {
      REQUIRE(std::isnan(f));
      REQUIRE(std::isnan(half_to_float(float_to_half(f))));
      continue;
    }
    const double magnitude = exponent == 31 ? HUGE_VAL
                             : exponent     ? std::ldexp(1024 + fraction, exponent - 25)
                                            : std::ldexp(fraction, -24);
    REQUIRE(f == (h & 0x8000 ? -magnitude : magnitude));
    REQUIRE(float_to_half(f) == half);
    if (exponent == 31) continue;
    const float next = exponent == 30 && fraction == 1023 ? (h & 0x8000 ? -65536.f : 65536.f) : half_to_float(half + 1);
    const float tie = (f + next) / 2;
    REQUIRE(float_to_half(tie) == (h & 1 ? h + 1 : h));
    REQUIRE(float_to_half(std::nextafter(tie, next)) == h + 1);
    REQUIRE(float_to_half(std::nextafter(tie, f)) == h);
  }
  CHECK(float_to_half(1e30f) == 0x7c00);
  CHECK(float_to_half(-1e-30f) == 0x8000);
}

TEST_CASE("bfloat16 rounds to nearest even") {
  CHECK(float_to_bf16(1.0f) == 0x3f80);
  CHECK(float_to_bf16(std::bit_cast<float>(0x3f808000u)) == 0x3f80);
  CHECK(float_to_bf16(std::bit_cast<float>(0x3f818000u)) == 0x3f82);
  CHECK(float_to_bf16(std::bit_cast<float>(0x3f808001u)) == 0x3f81);
  CHECK(float_to_bf16(std::bit_cast<float>(0x7f7fffffu)) == 0x7f80);
  CHECK(std::isnan(bf16_to_float(float_to_bf16(std::bit_cast<float>(0x7f800001u)))));
  CHECK(bf16_to_float(0xc040) == -3.0f);
}
