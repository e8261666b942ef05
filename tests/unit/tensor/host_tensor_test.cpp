// HostTensor: shapes, sizes, ownership, float32 copies.
#include "tensor/host_tensor.hpp"

#include <doctest/doctest.h>

#include <cstring>

#include "base/error.hpp"

using namespace tenon;

TEST_CASE("allocate gives zeroed bytes of its own") {
  HostTensor t = HostTensor::allocate(DType::q8_0, {3, 64}, "w");
  CHECK(t.bytes == 3 * 68);
  CHECK(t.rows() == 3);
  CHECK(t.row_bytes() == 68);
  CHECK(t.row(2) == t.data + 136);
  const HostTensor copy = t;
  CHECK(copy.data == t.data);
  for (uint64_t i = 0; i < t.bytes; ++i) REQUIRE(t.data[i] == std::byte{0});
}

TEST_CASE("scalars and empty shapes") {
  CHECK(HostTensor::allocate(DType::f32, {}, "w").elements() == 1);
  const HostTensor empty = HostTensor::allocate(DType::f32, {4, 0}, "w");
  CHECK(empty.elements() == 0);
  CHECK(empty.rows() == 0);
  CHECK(empty.to_f32("w").bytes == 0);
}

TEST_CASE("impossible sizes are errors") {
  CHECK_THROWS_AS(HostTensor::allocate(DType::f32, {int64_t{1} << 62, 4}, "w"), Error);
  CHECK_THROWS_AS(HostTensor::allocate(DType::f32, {-1}, "w"), Error);
}

TEST_CASE("to_f32 converts all rows") {
  HostTensor t = HostTensor::allocate(DType::i8, {2, 3}, "w");
  const int8_t values[] = {-3, -2, -1, 0, 1, 2};
  std::memcpy(t.mutable_data(), values, 6);
  const HostTensor f = t.to_f32("w");
  CHECK(f.shape == t.shape);
  for (int i = 0; i < 6; ++i) CHECK(reinterpret_cast<const float*>(f.data)[i] == static_cast<float>(values[i]));
}
