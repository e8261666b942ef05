// The reference dequantiser against the formats' own numpy reference, bit for bit, for every block type of files.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "base/value.hpp"
#include "checkpoint/checkpoint.hpp"
#include "fixtures.hpp"
#include "tensor/dtype.hpp"
#include "tensor/host_tensor.hpp"
#include "tensor/iq_tables.hpp"

using namespace tenon;

namespace {

// The float32 values of a version 1 .npy file.
std::vector<float> read_npy(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  REQUIRE(text.substr(0, 6) == "\x93NUMPY");
  REQUIRE(text.find("'<f4'") != std::string::npos);
  uint16_t header = 0;
  std::memcpy(&header, text.data() + 8, 2);
  std::vector<float> values((text.size() - 10 - header) / 4);
  std::memcpy(values.data(), text.data() + 10 + header, values.size() * 4);
  return values;
}

// How many of the dequantised elements are not the expected ones, bit for bit.
size_t differing(DType dtype, const std::byte* src, const std::vector<float>& expected) {
  std::vector<float> out(expected.size());
  dequantize_row(dtype, src, out.data(), static_cast<int64_t>(out.size()));
  size_t count = 0;
  for (size_t i = 0; i < out.size(); ++i)
    count += std::bit_cast<uint32_t>(out[i]) != std::bit_cast<uint32_t>(expected[i]);
  return count;
}

template <typename T>
std::vector<float> dequantize(DType dtype, const std::vector<T>& values) {
  // One byte past an aligned start: sources in files need not be aligned.
  std::vector<std::byte> bytes(1);
  const auto raw = std::as_bytes(std::span(values));
  bytes.insert(bytes.end(), raw.begin(), raw.end());
  std::vector<float> out(values.size());
  dequantize_row(dtype, bytes.data() + 1, out.data(), static_cast<int64_t>(values.size()));
  return out;
}

}  // namespace

TEST_CASE("block formats equal the reference bit for bit") {
  const auto dir = test::shared("models/blocks");
  if (!dir) return;
  const Value index = parse_json(read_file(*dir / "index.json"), "index.json");
  int compared = 0;
  for (const auto& [name, entry] : index.as_object()) {
    INFO(name);
    const auto dtype = dtype_from_name(name);
    REQUIRE(dtype.has_value());
    const DTypeInfo& info = dtype_info(*dtype);
    CHECK(info.block_bytes == entry.find("block_bytes")->as_int());
    CHECK(info.block_elems == entry.find("block_elements")->as_int());
    CHECK(info.gguf_id == entry.find("id")->as_int());
    const std::string blocks = read_file(*dir / (name + ".bin"));
    const std::vector<float> expected = read_npy(*dir / (name + ".npy"));
    CHECK(differing(*dtype, reinterpret_cast<const std::byte*>(blocks.data()), expected) == 0);
    ++compared;
  }
  CHECK(compared == 23);
}

// A slice TYPE-TENSOR.npy holds the first rows of that tensor of that type in one or more of the files.
TEST_CASE("tensors of quantised files begin with the reference's values") {
  const auto dir = test::shared("models/quant-llama/quant");
  if (!dir) return;
  std::vector<std::shared_ptr<const Checkpoint>> files;
  for (const auto& entry : std::filesystem::directory_iterator(*dir))
    if (entry.path().extension() == ".gguf") files.push_back(Checkpoint::open(entry.path()));
  for (const auto& entry : std::filesystem::directory_iterator(*dir / "dequant")) {
    const std::string stem = entry.path().stem().string();
    INFO(stem);
    const auto dtype = dtype_from_name(stem.substr(0, stem.find('-')));
    REQUIRE(dtype.has_value());
    const std::vector<float> expected = read_npy(entry.path());
    int equal = 0;
    for (const auto& file : files) {
      const StoredTensor* stored = file->find(stem.substr(stem.find('-') + 1));
      if (!stored || stored->tensor.dtype != *dtype) continue;
      REQUIRE(stored->tensor.bytes >= dtype_bytes(*dtype, expected.size(), stem));
      equal += differing(*dtype, stored->tensor.data, expected) == 0;
    }
    CHECK(equal >= 1);
  }
}

TEST_CASE("no two indices of a grid stand for the same values") {
  const auto distinct = [](const auto& grid) { return std::set(grid.begin(), grid.end()).size() == grid.size(); };
  CHECK(distinct(iq::kIq1Grid));
  CHECK(distinct(iq::kIq2XxsGrid));
  CHECK(distinct(iq::kIq2XsGrid));
  CHECK(distinct(iq::kIq2SGrid));
  CHECK(distinct(iq::kIq3XxsGrid));
  CHECK(distinct(iq::kIq3SGrid));
}

TEST_CASE("plain types") {
  CHECK(dequantize<double>(DType::f64, {1.5, 0x1.0000011p0}) == std::vector<float>{1.5f, 0x1.000002p0f});
  CHECK(dequantize<float>(DType::f32, {1.5f, -0.0f}) == std::vector<float>{1.5f, 0.0f});
  CHECK(dequantize<uint16_t>(DType::f16, {0x3c00, 0x0001}) == std::vector<float>{1.0f, 0x1p-24f});
  CHECK(dequantize<uint16_t>(DType::bf16, {0x3f80, 0xc000}) == std::vector<float>{1.0f, -2.0f});
  CHECK(dequantize<int8_t>(DType::i8, {-128, 127}) == std::vector<float>{-128, 127});
  CHECK(dequantize<int16_t>(DType::i16, {-32768}) == std::vector<float>{-32768});
  CHECK(dequantize<int32_t>(DType::i32, {16777217, -5}) == std::vector<float>{16777216, -5});
  CHECK(dequantize<int64_t>(DType::i64, {int64_t{1} << 40}) == std::vector<float>{0x1p40f});
  CHECK(dequantize<uint8_t>(DType::u8, {255}) == std::vector<float>{255});
  CHECK(dequantize<uint8_t>(DType::boolean, {0, 1, 2}) == std::vector<float>{0, 1, 1});
}

TEST_CASE("float8: all values by their definition") {
  for (int b = 0; b < 256; ++b) {
    INFO(b);
    const double sign = b & 0x80 ? -1 : 1;
    const float e4m3 = dequantize<uint8_t>(DType::f8_e4m3, {static_cast<uint8_t>(b)})[0];
    const int e4 = (b >> 3) & 15, m3 = b & 7;
    if ((b & 0x7f) == 0x7f) {
      CHECK(std::isnan(e4m3));
    } else {
      CHECK(e4m3 == sign * (e4 ? std::ldexp(8 + m3, e4 - 10) : std::ldexp(m3, -9)));
      CHECK(std::signbit(e4m3) == (sign < 0));
    }
    const float e5m2 = dequantize<uint8_t>(DType::f8_e5m2, {static_cast<uint8_t>(b)})[0];
    const int e5 = (b >> 2) & 31, m2 = b & 3;
    if (e5 == 31) {
      CHECK((m2 == 0 ? std::isinf(e5m2) : std::isnan(e5m2)));
    } else {
      CHECK(e5m2 == sign * (e5 ? std::ldexp(4 + m2, e5 - 17) : std::ldexp(m2, -16)));
    }
  }
}

TEST_CASE("blocks of quantised safetensors: codes times scale, rows that end inside a block") {
  std::vector<std::byte> bytes(2 * 132);
  const auto put = [&bytes](size_t at, auto v) { std::memcpy(&bytes[at], &v, sizeof v); };
  put(0, 0.1f), put(132, -3.0f);
  bytes[4] = std::byte{0x38}, bytes[5] = std::byte{0x81}, bytes[131] = std::byte{0x7e}, bytes[136] = std::byte{0x40};
  std::vector<float> out(130, 7.0f);
  dequantize_row(DType::f8_b128, bytes.data(), out.data(), 129);
  CHECK(out[0] == 0.1f);
  CHECK(out[1] == -0x1p-9f * 0.1f);
  CHECK(out[127] == 448.0f * 0.1f);
  CHECK(out[128] == -6.0f);
  CHECK(out[129] == 7.0f);
  CHECK(dtype_row_bytes(DType::f8_b128, 129, "w") == 264);
  put(0, 0.3f), put(4, uint8_t{0x0f}), put(19, uint8_t{0x98});
  dequantize_row(DType::i4_b32, bytes.data(), out.data(), 32);
  CHECK(out[0] == 7.0f * 0.3f);
  CHECK(out[16] == -8.0f * 0.3f);
  CHECK(out[15] == 0.0f);
  CHECK(out[31] == 0.3f);
  HostTensor rows = HostTensor::allocate(DType::f8_b32, {3, 40}, "w");
  CHECK(rows.bytes == 3 * 72);
  std::memcpy(rows.mutable_data() + 2 * 72, bytes.data(), 4);
  rows.mutable_data()[2 * 72 + 4] = std::byte{0x38};
  CHECK(reinterpret_cast<const float*>(rows.to_f32("w").data)[80] == 0.3f);
}

TEST_CASE("a length that is no multiple of the block, and a type without reference, are refused") {
  std::vector<std::byte> bytes(300);
  std::vector<float> out(300);
  CHECK_THROWS_WITH_AS(dequantize_row(DType::q4_0, bytes.data(), out.data(), 31),
                       "[dequantize] 31 elements are no multiple of the 32 in a block of Q4_0", Error);
  CHECK_THROWS_WITH_AS(dequantize_row(DType::q8_k, bytes.data(), out.data(), 256),
                       "[dequantize] no reference for the block format Q8_K", Error);
}
