// One block each of the formats that index a grid of value tuples (IQ1 to IQ3): 256 elements, cut into runs of 8.
// Written from the layouts of the formats' numpy reference; models/blocks proves each bit for bit. A run is one grid
// row of 8 (IQ1, IQ2) or two of 4 (IQ3), times a scale; IQ2 and IQ3 rows are magnitudes with one sign bit per element.
#include "tensor/dequantize_internal.hpp"
#include "tensor/iq_tables.hpp"

namespace tenon::blocks {
namespace {

constexpr int kRuns = 32;

float f(int q) { return static_cast<float>(q); }

int nibble(const std::byte* p, int i) { return u8(p, i / 2) >> (i % 2 * 4) & 15; }

// Writes `n` elements: scale * value, negative where the element's bit of `signs` is set.
template <size_t n>
void signed_values(const std::array<int8_t, n>& values, uint32_t signs, float scale, float* dst) {
  for (size_t i = 0; i < n; ++i) dst[i] = scale * f(signs >> i & 1 ? -values[i] : values[i]);
}

// Writes 8 elements: scale * (value + shift).
void shifted_values(const std::array<int8_t, 8>& values, float shift, float scale, float* dst) {
  for (size_t i = 0; i < 8; ++i) dst[i] = scale * (f(values[i]) + shift);
}

}  // namespace

// IQ2_XXS: f16 d, then per 32 elements two u32: four 8-bit grid indices; four 7-bit signs and on top a 4-bit scale.
void iq2_xxs(const std::byte* src, float* dst) {
  const float d = load_half(src);
  for (int run = 0; run < kRuns; ++run) {
    const std::byte* group = src + 2 + run / 4 * 8;
    const auto word = load<uint32_t>(group + 4);
    const float scale = d * (0.5f + static_cast<float>(word >> 28)) * 0.25f;
    const uint32_t signs = iq::eight_signs(word >> (run % 4 * 7) & 127);
    signed_values(iq::kIq2XxsGrid[u8(group, run % 4)], signs, scale, dst + run * 8);
  }
}

// IQ2_XS: f16 d, 32 u16 (9 bits of grid index, 7 of sign), 8 bytes of scale nibbles, one per 16 elements.
void iq2_xs(const std::byte* src, float* dst) {
  const float d = load_half(src);
  for (int run = 0; run < kRuns; ++run) {
    const uint32_t code = load<uint16_t>(src + 2 + run * 2);
    const float scale = d * (0.5f + f(nibble(src + 66, run / 2))) * 0.25f;
    signed_values(iq::kIq2XsGrid[code & 511], iq::eight_signs(code >> 9), scale, dst + run * 8);
  }
}

// IQ2_S: f16 d, 32 low bytes of grid indices, 32 bytes of signs, 8 bytes with the indices' top two bits (four runs
// each), 8 bytes of scale nibbles, one per 16 elements.
void iq2_s(const std::byte* src, float* dst) {
  const float d = load_half(src);
  for (int run = 0; run < kRuns; ++run) {
    const auto high = static_cast<size_t>(u8(src, 66 + run / 4) >> (run % 4 * 2) & 3);
    const float scale = d * (0.5f + f(nibble(src + 74, run / 2))) * 0.25f;
    signed_values(iq::kIq2SGrid[high << 8 | u8(src, 2 + run)], u8(src, 34 + run), scale, dst + run * 8);
  }
}

// IQ3_XXS: f16 d, 64 grid indices of four elements each, then per 32 elements a u32: four 7-bit signs, a 4-bit scale.
void iq3_xxs(const std::byte* src, float* dst) {
  const float d = load_half(src);
  for (int run = 0; run < kRuns; ++run) {
    const auto word = load<uint32_t>(src + 66 + run / 4 * 4);
    const float scale = d * (0.5f + static_cast<float>(word >> 28)) * 0.5f;
    const uint32_t signs = iq::eight_signs(word >> (run % 4 * 7) & 127);
    for (int half = 0; half < 2; ++half)
      signed_values(iq::kIq3XxsGrid[u8(src, 2 + run * 2 + half)], signs >> (half * 4), scale, dst + run * 8 + half * 4);
  }
}

// IQ3_S: f16 d, 64 low bytes of grid indices of four elements each, 8 bytes with a ninth bit for each index, 32 bytes
// of signs, 4 bytes of scale nibbles, one per 32 elements: the scale is d * (2 * nibble + 1).
void iq3_s(const std::byte* src, float* dst) {
  const float d = load_half(src);
  for (int run = 0; run < kRuns; ++run) {
    const float scale = d * f(1 + 2 * nibble(src + 106, run / 4));
    const uint32_t signs = u8(src, 74 + run);
    for (int half = 0; half < 2; ++half) {
      const int index = run * 2 + half;
      const auto ninth = static_cast<size_t>(u8(src, 66 + index / 8) >> (index % 8) & 1);
      signed_values(iq::kIq3SGrid[ninth << 8 | u8(src, 2 + index)], signs >> (half * 4), scale, dst + index * 4);
    }
  }
}

// IQ1_S: f16 d, 32 low bytes of grid indices, then per 32 elements a u16: four times three top bits of an index, three
// bits of scale (d * (2 * bits + 1)), and the sign of the 1/8 by which all values are shifted.
void iq1_s(const std::byte* src, float* dst) {
  const float d = load_half(src);
  for (int run = 0; run < kRuns; ++run) {
    const int word = load<uint16_t>(src + 34 + run / 4 * 2);
    const auto high = static_cast<size_t>(word >> (run % 4 * 3) & 7);
    const float scale = d * f(2 * (word >> 12 & 7) + 1), shift = word >> 15 ? -0.125f : 0.125f;
    shifted_values(iq::kIq1Grid[high << 8 | u8(src, 2 + run)], shift, scale, dst + run * 8);
  }
}

// IQ1_M: 32 low bytes of grid indices, 16 bytes of nibbles (three top bits of the index, the shift's sign), four u16:
// four times three bits of scale, one per 16 elements, and in the top nibbles the f16 d, its lowest nibble first.
void iq1_m(const std::byte* src, float* dst) {
  uint32_t half = 0;
  for (int i = 0; i < 4; ++i) half |= static_cast<uint32_t>(load<uint16_t>(src + 48 + i * 2) >> 12) << (i * 4);
  const float d = half_to_float(static_cast<uint16_t>(half));
  for (int run = 0; run < kRuns; ++run) {
    const int word = load<uint16_t>(src + 48 + run / 8 * 2), bits = nibble(src + 32, run);
    const auto high = static_cast<size_t>(bits & 7);
    const float scale = d * f(2 * (word >> (run / 2 % 4 * 3) & 7) + 1), shift = bits & 8 ? -0.125f : 0.125f;
    shifted_values(iq::kIq1Grid[high << 8 | u8(src, run)], shift, scale, dst + run * 8);
  }
}

}  // namespace tenon::blocks
