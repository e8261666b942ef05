// One block each of the 256-element super-block formats, and of the formats that index a table of values.
// Written from the layouts in the GGUF document; models/blocks proves each bit for bit. IQ1 to IQ3: dequantize_iq.cpp.
#include <array>
#include <bit>

#include "tensor/dequantize_internal.hpp"

namespace tenon::blocks {
namespace {

// IQ4's non-linear levels: a table of the format itself, as its numpy reference publishes it.
constexpr std::array<int8_t, 16> kIq4Levels = {-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};
// FP4 E2M1, doubled so that the levels are whole (OCP Microscaling Formats 1.0).
constexpr std::array<int8_t, 16> kFp4Levels = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

float f(int q) { return static_cast<float>(q); }

struct ScaleMin {
  int scale, min;
};

// Eight 6-bit scales and eight 6-bit minima in 12 bytes: the first four of each lie in the low 6 bits of bytes 0-3 and
// 4-7; the last four have their low nibbles in bytes 8-11 and their top two bits in the top of bytes 0-3 and 4-7.
ScaleMin scale_min(const std::byte* s, int j) {
  if (j < 4) return {u8(s, j) & 63, u8(s, j + 4) & 63};
  const int low = u8(s, j + 4);
  return {(low & 15) | (u8(s, j - 4) >> 2 & 0x30), (low >> 4) | (u8(s, j) >> 2 & 0x30)};
}

}  // namespace

// Q2_K: 16 bytes (scale low, min high nibble per 16 elements), 64 bytes of 2-bit quants, f16 d, f16 dmin.
// Each 32 bytes of quants hold 4 x 32 elements, one per 2-bit plane.
void q2_k(const std::byte* src, float* dst) {
  const float d = load_half(src + 80), dmin = load_half(src + 82);
  for (int i = 0; i < 256; ++i) {
    const int plane = i / 32 % 4, scales = u8(src, i / 16);
    const int q = u8(src, 16 + i / 128 * 32 + i % 32) >> (2 * plane) & 3;
    dst[i] = d * f(scales & 15) * f(q) - dmin * f(scales >> 4);
  }
}

// Q3_K: 32 bytes of third bits (bit i/32 of byte i%32; 0 means minus 4), 64 bytes of 2-bit quants as in Q2_K, 16 6-bit
// scales in 12 bytes (low nibbles in 0-7, top bits two each in 8-11; stored +32), f16 d.
void q3_k(const std::byte* src, float* dst) {
  const float d = load_half(src + 108);
  const std::byte* packed = src + 96;
  for (int group = 0; group < 16; ++group) {
    const int low = u8(packed, group % 8) >> (group / 8 * 4) & 15;
    const int high = u8(packed, 8 + group % 4) >> (group / 4 * 2) & 3;
    const float scale = d * f((low | high << 4) - 32);
    for (int i = group * 16; i < group * 16 + 16; ++i) {
      const int q = u8(src, 32 + i / 128 * 32 + i % 32) >> (i / 32 % 4 * 2) & 3;
      const int third = u8(src, i % 32) >> (i / 32) & 1;
      dst[i] = scale * f(q - (third ? 0 : 4));
    }
  }
}

// Q4_K: f16 d, f16 dmin, 12 bytes of scales and minima, 128 bytes of nibbles: each 32 bytes hold 32 low, then 32 high.
void q4_k(const std::byte* src, float* dst) {
  const float d = load_half(src), dmin = load_half(src + 2);
  for (int group = 0; group < 8; ++group) {
    const ScaleMin sm = scale_min(src + 4, group);
    const float scale = d * f(sm.scale), min = dmin * f(sm.min);
    const std::byte* q = src + 16 + group / 2 * 32;
    for (int i = 0; i < 32; ++i) dst[group * 32 + i] = scale * f(u8(q, i) >> (group % 2 * 4) & 15) - min;
  }
}

// Q5_K: as Q4_K with 32 bytes of fifth bits (bit `group` of byte i%32) before the nibbles.
void q5_k(const std::byte* src, float* dst) {
  const float d = load_half(src), dmin = load_half(src + 2);
  for (int group = 0; group < 8; ++group) {
    const ScaleMin sm = scale_min(src + 4, group);
    const float scale = d * f(sm.scale), min = dmin * f(sm.min);
    const std::byte* q = src + 48 + group / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      const int fifth = u8(src, 16 + i) >> group & 1;
      dst[group * 32 + i] = scale * f((u8(q, i) >> (group % 2 * 4) & 15) | fifth << 4) - min;
    }
  }
}

// Q6_K: 128 bytes of low nibbles (64 bytes hold 64 low, then 64 high), 64 bytes of top bit pairs (32 bytes hold 4
// planes of 32), 16 signed scales per 16 elements, f16 d; stored +32.
void q6_k(const std::byte* src, float* dst) {
  const int8_t* scales = as_int8(src + 192);
  const float d = load_half(src + 208);
  for (int i = 0; i < 256; ++i) {
    const int low = u8(src, i / 128 * 64 + i % 64) >> (i / 64 % 2 * 4) & 15;
    const int high = u8(src, 128 + i / 128 * 32 + i % 32) >> (i / 32 % 4 * 2) & 3;
    dst[i] = d * f(scales[i / 16]) * f((low | high << 4) - 32);
  }
}

// IQ4_NL: f16 d, nibbles as in Q4_0 that index the levels.
void iq4_nl(const std::byte* src, float* dst) {
  const float d = load_half(src);
  for (int i = 0; i < 32; ++i)
    dst[i] = d * f(kIq4Levels[static_cast<size_t>(u8(src, 2 + i % 16) >> (i / 16 * 4) & 15)]);
}

// IQ4_XS: f16 d, u16 of top scale bits (two per 32 elements), 4 bytes of low scale nibbles (stored +32), 128 bytes of
// nibbles, 16 bytes per 32 elements as in Q4_0.
void iq4_xs(const std::byte* src, float* dst) {
  const float d = load_half(src);
  const int high = load<uint16_t>(src + 2);
  for (int group = 0; group < 8; ++group) {
    const int low = u8(src, 4 + group / 2) >> (group % 2 * 4) & 15;
    const float scale = d * f((low | (high >> (2 * group) & 3) << 4) - 32);
    const std::byte* q = src + 8 + group * 16;
    for (int i = 0; i < 32; ++i)
      dst[group * 32 + i] = scale * f(kIq4Levels[static_cast<size_t>(u8(q, i % 16) >> (i / 16 * 4) & 15)]);
  }
}

// TQ1_0: ternary digits, five to a byte as a fraction of 3^5 scaled to 256: digit n is (byte * 3^n mod 256) * 3 / 256.
// 32 bytes hold 5 x 32 elements, 16 bytes 5 x 16, 4 bytes 4 x 4; then f16 d; value d * (digit - 1).
void tq1_0(const std::byte* src, float* dst) {
  static constexpr std::array<int, 5> kPowers = {1, 3, 9, 27, 81};
  static constexpr std::array<std::array<int, 3>, 3> kParts = {{{0, 32, 5}, {32, 16, 5}, {48, 4, 4}}};
  const float d = load_half(src + 52);
  for (const auto& [begin, bytes, digits] : kParts)
    for (int n = 0; n < digits; ++n)
      for (int i = 0; i < bytes; ++i) {
        const int shifted = u8(src, begin + i) * kPowers[static_cast<size_t>(n)] & 255;
        *dst++ = d * f((shifted * 3 >> 8) - 1);
      }
}

// TQ2_0: 64 bytes of 2-bit digits as in Q2_K, f16 d; value d * (digit - 1).
void tq2_0(const std::byte* src, float* dst) {
  const float d = load_half(src + 64);
  for (int i = 0; i < 256; ++i) dst[i] = d * f((u8(src, i / 128 * 32 + i % 32) >> (i / 32 % 4 * 2) & 3) - 1);
}

// MXFP4: a power-of-two exponent byte (halved here, because the levels are doubled), nibbles as in Q4_0.
void mxfp4(const std::byte* src, float* dst) {
  const uint32_t e = u8(src, 0);
  const auto d = std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1) << 23);
  for (int i = 0; i < 32; ++i)
    dst[i] = d * f(kFp4Levels[static_cast<size_t>(u8(src, 1 + i % 16) >> (i / 16 * 4) & 15)]);
}

// NVFP4: 4 unsigned E4M3 scales (0x7f counts as 0), then per 16 elements 8 bytes: low nibbles first.
void nvfp4(const std::byte* src, float* dst) {
  for (int group = 0; group < 4; ++group) {
    const int b = u8(src, group), exponent = b >> 3 & 15, fraction = b & 7;
    float d = exponent == 0 ? f(fraction) * 0x1p-10f : f(8 + fraction) * std::bit_cast<float>((exponent + 116u) << 23);
    if (b == 0x7f) d = 0;
    const std::byte* q = src + 4 + group * 8;
    for (int i = 0; i < 16; ++i)
      dst[group * 16 + i] = d * f(kFp4Levels[static_cast<size_t>(u8(q, i % 8) >> (i / 8 * 4) & 15)]);
  }
}

}  // namespace tenon::blocks
