// Every implementation of the matrix product, forced, against the plain loop: all stored types, both modes, odd shapes.
// The VNNI templates also run over emulated instructions, so that they are tested on processors without them.
#include "backend/cpu/linear.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "backend/cpu/linear_parts.hpp"
#include "base/error.hpp"
#include "fixtures.hpp"

using namespace tenon;
using namespace tenon::cpu;

namespace {

constexpr DType kPlain[] = {DType::f32, DType::f16, DType::bf16, DType::f8_e4m3};
constexpr DType kInt8[] = {DType::q4_0,   DType::q4_1,   DType::q5_0, DType::q5_1, DType::q8_0,
                           DType::q2_k,   DType::q3_k,   DType::q4_k, DType::q5_k, DType::q6_k,
                           DType::iq4_nl, DType::iq4_xs, DType::mxfp4};
constexpr DType kUnpacked[] = {DType::iq1_s,   DType::iq1_m, DType::iq2_xxs, DType::iq2_xs, DType::iq2_s,
                               DType::iq3_xxs, DType::iq3_s, DType::tq1_0,   DType::tq2_0,  DType::nvfp4};
constexpr DType kMemory[] = {DType::f8_b128, DType::f8_b32, DType::i4_b32};  // rows may end inside a block
constexpr double kBound = 3e-6;                                              // float32 sums against double
constexpr double kInt16Bound = 2e-4;                                         // both sides rounded to 14 bits a block

/// Zeroed bytes on a 64-byte boundary.
class Bytes {
 public:
  explicit Bytes(size_t size) : storage_(size + 64) {}
  std::byte* data() {
    void* p = storage_.data();
    size_t space = storage_.size();
    return static_cast<std::byte*>(std::align(64, 1, p, space));
  }

 private:
  std::vector<std::byte> storage_;
};

/// Where a block's float16 scale lies, and its minimum's; -1 where it has none.
struct ScalePlaces {
  int d, min;
};
ScalePlaces scale_places(DType type) {
  switch (type) {
    case DType::q4_1:
    case DType::q5_1:
    case DType::q4_k:
    case DType::q5_k:
      return {0, 2};
    case DType::q2_k:
      return {80, 82};
    case DType::q3_k:
      return {108, -1};
    case DType::q6_k:
      return {208, -1};
    case DType::tq1_0:
      return {52, -1};
    case DType::tq2_0:
      return {64, -1};
    case DType::mxfp4:
    case DType::nvfp4:
    case DType::iq1_m:
      return {-1, -1};
    default:
      return {0, -1};
  }
}

/// Makes the scales of a block of random bytes small and finite.
void tame(DType type, std::byte* block, std::mt19937& random) {
  std::uniform_real_distribution<float> value(-1.0f, 1.0f);
  const auto put16 = [&](int at, float v) {
    const uint16_t half = float_to_half(v);
    if (at >= 0) std::memcpy(block + at, &half, 2);
  };
  if (dtype_info(type).padded_rows) {
    const float scale = 0.01f * value(random);
    std::memcpy(block, &scale, 4);
    for (int i = 4; type != DType::i4_b32 && i < dtype_info(type).block_bytes; ++i)
      block[i] = static_cast<std::byte>(random() % 2 * 128 + random() % 127);
    return;
  }
  const ScalePlaces places = scale_places(type);
  put16(places.d, 0.01f * value(random));
  put16(places.min, 0.05f * value(random));
  if (type == DType::mxfp4) block[0] = static_cast<std::byte>(120 + random() % 8);
  if (type == DType::nvfp4)
    for (int i = 0; i < 4; ++i) block[i] = static_cast<std::byte>(40 + random() % 16);
  if (type == DType::iq1_m)  // a float16 of 0x2xxx in the top nibbles of four words
    block[55] = static_cast<std::byte>(0x20 | (static_cast<int>(block[55]) & 15));
}

/// Random weights in a stored type, without NaN or infinity; exactly as many bytes as the tensor has.
std::vector<std::byte> random_weights(DType type, int64_t n, int64_t k, std::mt19937& random) {
  std::vector<std::byte> bytes(static_cast<size_t>(n) * dtype_row_bytes(type, static_cast<uint64_t>(k), "test"));
  std::uniform_real_distribution<float> value(-1.0f, 1.0f);
  const auto put16 = [&](size_t at, uint16_t v) { std::memcpy(&bytes[at], &v, 2); };
  const DTypeInfo& info = dtype_info(type);
  if (type == DType::f32) {
    for (size_t i = 0; i < bytes.size(); i += 4) {
      const float v = value(random);
      std::memcpy(&bytes[i], &v, 4);
    }
  } else if (type == DType::f8_e4m3) {
    for (std::byte& b : bytes) b = static_cast<std::byte>(random() % 2 * 128 + random() % 127);
  } else if (info.block_elems == 1) {
    for (size_t i = 0; i < bytes.size(); i += 2)
      put16(i, type == DType::f16 ? float_to_half(value(random)) : float_to_bf16(value(random)));
  } else {
    for (std::byte& b : bytes) b = static_cast<std::byte>(random());
    for (size_t i = 0; i < bytes.size(); i += static_cast<size_t>(info.block_bytes)) tame(type, &bytes[i], random);
  }
  return bytes;
}

std::vector<float> random_activations(int64_t count, std::mt19937& random) {
  std::normal_distribution<float> value;
  std::vector<float> x(static_cast<size_t>(count));
  for (float& v : x) v = value(random);
  return x;
}

/// Runs one implementation as the executor does: packing in single units, columns in pieces of odd length.
std::vector<float> run(const LinearImpl& impl, const LinearShape& s, const std::byte* w, const float* x, int64_t ldx) {
  const int64_t ldy = s.n + 3;
  std::vector<float> y(static_cast<size_t>(s.m * ldy), 1e30f);
  Bytes scratch(impl.scratch_bytes(s)), act(impl.act ? impl.act->bytes(s.m, s.k) : 0);
  std::memset(act.data(), 0x55, impl.act ? impl.act->bytes(s.m, s.k) : 0);
  if (impl.act)
    for (int64_t u = impl.act->units(s.m, s.k); u-- > 0;) impl.act->pack(x, ldx, s.m, s.k, u, u + 1, act.data());
  const int64_t piece = std::max<int64_t>(impl.grain * 2 - 1, 1);
  for (int64_t n = 0; n < s.n; n += piece)
    impl.run(
        {w, x, ldx, impl.act ? act.data() : nullptr, y.data(), ldy, n, std::min(n + piece, s.n), scratch.data(), s});
  for (int64_t m = 0; m < s.m; ++m)
    for (int64_t n = s.n; n < ldy; ++n) CHECK(y[static_cast<size_t>(m * ldy + n)] == 1e30f);
  return y;
}

/// Rms difference of two results over `norm`; infinite when anything is not finite.
double distance(const std::vector<float>& a, const std::vector<float>& b, const LinearShape& s, double norm) {
  double error = 0;
  for (int64_t m = 0; m < s.m; ++m)
    for (int64_t n = 0; n < s.n; ++n) {
      const size_t i = static_cast<size_t>(m * (s.n + 3) + n);
      error += std::pow(static_cast<double>(a[i]) - b[i], 2);
    }
  return std::isfinite(error) ? std::sqrt(error) / norm : INFINITY;
}

/// What errors are relative to: the root of the sum of all squared products, which no cancellation makes small.
double product_norm(const LinearShape& s, const std::byte* w, const float* x, int64_t ldx) {
  std::vector<float> row(static_cast<size_t>(s.k));
  const uint64_t row_bytes = dtype_row_bytes(s.w, static_cast<uint64_t>(s.k), "test");
  double norm = 1e-30;
  for (int64_t n = 0; n < s.n; ++n) {
    dequantize_row(s.w, w + static_cast<uint64_t>(n) * row_bytes, row.data(), s.k);
    for (int64_t m = 0; m < s.m; ++m)
      for (int64_t k = 0; k < s.k; ++k)
        norm += std::pow(static_cast<double>(row[static_cast<size_t>(k)]) * x[m * ldx + k], 2);
  }
  return std::sqrt(norm);
}

std::vector<LinearImpl> all_impls() {
  std::vector<LinearImpl> all(linear_impls().begin(), linear_impls().end());
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("f16c")) return all;
  const ImplTable emulated = emulated_vnni_impls();
  all.insert(all.end(), emulated.first, emulated.first + emulated.count);
  return all;
}

struct Tally {
  int runs = 0;
  double worst = 0;
};

/// Activations as the int8 kernels round them: per 32 values to multiples of the largest over 127.
std::vector<float> rounded(const float* x, int64_t ldx, const LinearShape& s) {
  std::vector<float> out(static_cast<size_t>(s.m * ldx));
  for (int64_t m = 0; m < s.m; ++m)
    for (int64_t b = 0; b < s.k; b += 32) {
      const float* const in = x + m * ldx + b;
      float max = 0;
      for (int i = 0; i < 32; ++i) max = std::max(max, std::fabs(in[i]));
      for (int i = 0; i < 32; ++i)
        out[static_cast<size_t>(m * ldx + b + i)] =
            max > 0 ? std::nearbyint(in[i] * (127.0f / max)) * (max / 127.0f) : 0;
    }
  return out;
}

/// Each implementation against the plain loop; int8 ones against the plain loop on activations rounded as they do.
void check_shape(const LinearShape& s, const std::byte* w, const float* x, int64_t ldx, Tally& tally) {
  const double norm = product_norm(s, w, x, ldx);
  const std::vector<float> expected = run(*reference_impls().first, s, w, x, ldx);
  std::vector<float> expected_int8;
  for (const LinearImpl& impl : all_impls()) {
    if (impl.refuse(s)) continue;
    const bool int8 = std::strstr(impl.name, "int8") != nullptr;
    if (int8 && expected_int8.empty())
      expected_int8 = run(*reference_impls().first, s, w, rounded(x, ldx, s).data(), ldx);
    const double error = distance(run(impl, s, w, x, ldx), int8 ? expected_int8 : expected, s, norm);
    CAPTURE(std::string(impl.name));
    CAPTURE(dtype_info(s.w).name);
    CAPTURE(s.n);
    CAPTURE(s.k);
    CAPTURE(s.m);
    const bool int16 = std::strstr(impl.name, "int16") != nullptr;
    CHECK_FALSE(((int8 || int16) && s.exact));
    CHECK(error < (int16 ? kInt16Bound : kBound));
    tally.worst = std::max(tally.worst, error);
    ++tally.runs;
  }
}

void check_grid(std::span<const DType> types, std::initializer_list<int64_t> ms, std::initializer_list<int64_t> ns,
                std::initializer_list<int64_t> ks) {
  std::mt19937 random(7);
  Tally tally;
  for (DType type : types)
    for (int64_t k : ks) {
      if (k % dtype_info(type).block_elems != 0 && !dtype_info(type).padded_rows) continue;
      for (int64_t n : ns) {
        const std::vector<std::byte> w = random_weights(type, n, k, random);
        for (int64_t m : ms) {
          const std::vector<float> x = random_activations(m * (k + 5), random);
          for (bool exact : {false, true}) check_shape({type, n, k, m, exact}, w.data(), x.data(), k + 5, tally);
        }
      }
    }
  MESSAGE(tally.runs, " products, worst error ", tally.worst);
}

}  // namespace

TEST_CASE("every implementation agrees with the plain loop: small shapes") {
  for (std::span<const DType> types : {std::span<const DType>(kPlain), std::span<const DType>(kInt8)})
    check_grid(types, {1, 2, 3, 4, 5, 7, 8, 16, 17, 33}, {1, 2, 15, 16, 17, 48}, {32, 64, 96, 160, 256});
}

TEST_CASE("every implementation agrees with the plain loop: deep and wide shapes") {
  for (std::span<const DType> types : {std::span<const DType>(kPlain), std::span<const DType>(kInt8)})
    check_grid(types, {1, 2, 3, 4, 8, 33}, {17, 100}, {512, 576, 768, 1536, 2080});
}

TEST_CASE("every implementation agrees with the plain loop: types that are only unpacked") {
  check_grid(kUnpacked, {1, 2, 3, 4, 7, 33}, {1, 17, 48}, {64, 256, 512, 768});
}

TEST_CASE("every implementation agrees with the plain loop: blocks of quantised safetensors") {
  check_grid(kMemory, {1, 2, 3, 4, 5, 7, 16, 33}, {1, 2, 17, 48}, {24, 32, 100, 128, 136, 160, 257, 512, 1000});
}

TEST_CASE("plain types take any k") { check_grid(kPlain, {1, 3, 4, 13}, {1, 33}, {1, 7, 31, 33, 100, 257, 513}); }

TEST_CASE("int8 error stays at that of rounding activations") {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  for (DType type : kInt8)
    for (int64_t m : {1, 64}) {
      const LinearShape s{type, 256, 2048, m, false};
      const std::vector<std::byte> w = random_weights(type, s.n, s.k, random);
      std::vector<float> x(static_cast<size_t>(m * s.k));
      for (float& v : x) v = uniform(random);
      const std::vector<float> expected = run(*reference_impls().first, s, w.data(), x.data(), s.k);
      const double norm = product_norm(s, w.data(), x.data(), s.k);
      for (const LinearImpl& impl : all_impls()) {
        if (impl.refuse(s) || !std::strstr(impl.name, "int8")) continue;
        CAPTURE(std::string(impl.name));
        const double error = distance(run(impl, s, w.data(), x.data(), s.k), expected, s, norm);
        CHECK(error < 4.5e-3);
      }
    }
}

TEST_CASE("stored blocks with extreme scales pass through every kernel") {
  std::vector<DType> types(std::begin(kInt8), std::end(kInt8));
  types.insert(types.end(), std::begin(kUnpacked), std::end(kUnpacked));
  for (DType type : types) {
    const auto path = test::shared(fmt::format("models/blocks/{}.bin", dtype_info(type).name));
    if (!path) return;
    std::ifstream file(*path, std::ios::binary);
    const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
    const int64_t blocks = static_cast<int64_t>(bytes.size()) / dtype_info(type).block_bytes;
    std::mt19937 random(11);
    Tally tally;
    for (int64_t n : {1, 2, 3, 16}) {
      const int64_t k = blocks / n * dtype_info(type).block_elems;
      for (int64_t m : {1, 2, 5, 16}) {
        const std::vector<float> x = random_activations(m * k, random);
        for (bool exact : {false, true})
          check_shape({type, n, k, m, exact}, reinterpret_cast<const std::byte*>(bytes.data()), x.data(), k, tally);
      }
    }
    CHECK(tally.runs > 0);
  }
}

TEST_CASE("rows of zeros, tiny and huge activations stay finite") {
  std::mt19937 random(5);
  for (DType type : kInt8)
    for (float scale : {0.0f, 1e-38f, 1e-30f, 1e20f}) {
      const LinearShape s{type, 33, dtype_info(type).block_elems * 9, 5, false};
      const std::vector<std::byte> w = random_weights(type, s.n, s.k, random);
      std::vector<float> x = random_activations(s.m * s.k, random);
      for (float& v : x) v *= scale;
      for (const LinearImpl& impl : all_impls()) {
        if (impl.refuse(s)) continue;
        const std::vector<float> y = run(impl, s, w.data(), x.data(), s.k);
        CAPTURE(std::string(impl.name));
        CHECK(distance(y, y, s, 1.0) == 0.0);
        if (scale == 0.0f) CHECK(y[0] == 0.0f);
      }
    }
}

TEST_CASE("the most negative codes do not saturate") {
  const LinearShape s{DType::q8_0, 16, 64, 4, false};
  std::vector<std::byte> w(dtype_bytes(s.w, static_cast<uint64_t>(s.n * s.k), "test"), std::byte{0x80});
  for (size_t i = 0; i < w.size(); i += 34) w[i] = std::byte{0}, w[i + 1] = std::byte{0x3c};  // scale 1
  for (float sign : {1.0f, -1.0f}) {
    const std::vector<float> x(static_cast<size_t>(s.m * s.k), sign);
    for (const LinearImpl& impl : all_impls()) {
      if (impl.refuse(s)) continue;
      CAPTURE(std::string(impl.name));
      CHECK(run(impl, s, w.data(), x.data(), s.k)[0] == doctest::Approx(-128.0 * 64 * sign));
    }
  }
}

TEST_CASE("sums of 14-bit products at their largest do not overflow") {
  for (const DType type : {DType::f16, DType::bf16}) {
    const LinearShape s{type, 16, 64, 7, false};
    std::vector<std::byte> w(dtype_bytes(s.w, static_cast<uint64_t>(s.n * s.k), "test"));
    for (size_t i = 0; i < w.size(); i += 2) w[i] = std::byte{0}, w[i + 1] = std::byte{0x40};  // 2 in both types
    for (float sign : {1.0f, -1.0f}) {
      const std::vector<float> x(static_cast<size_t>(s.m * s.k), 3 * sign);
      for (const LinearImpl& impl : all_impls()) {
        if (impl.refuse(s)) continue;
        CAPTURE(std::string(impl.name));
        CHECK(run(impl, s, w.data(), x.data(), s.k)[0] == doctest::Approx(6.0 * 64 * sign));
      }
    }
  }
}

TEST_CASE("the choice is the first that accepts, by force or not at all") {
  const LinearShape s{DType::q4_0, 64, 256, 1, false};
  CHECK(std::string(linear_impls().back().name) == "reference");
  CHECK(choose_linear(s).refuse(s) == nullptr);
  CHECK(std::string(choose_linear(s, "reference").name) == "reference");
  CHECK_THROWS_AS(choose_linear(s, "no such thing"), Error);
  const LinearShape unreadable{DType::q4_0, 64, 255, 1, false};
  CHECK_THROWS_AS(choose_linear(unreadable), Error);
  if (cpu_isa() != "x86-64") {
    CHECK_THROWS_AS(choose_linear({DType::q4_0, 64, 256, 1, true}, "avx2-int8-rows"), Error);
    CHECK_THROWS_AS(choose_linear({DType::iq3_s, 64, 256, 1, false}, "avx2-int8-rows"), Error);
  }
}
