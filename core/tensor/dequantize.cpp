// The reference dequantiser: plain types and the 32-element block formats; dispatch for all.
// Written from the layouts in the GGUF document; models/blocks proves each bit for bit. Super-blocks: dequantize_k.cpp,
// grids: dequantize_iq.cpp.
#include <algorithm>
#include <bit>

#include "base/error.hpp"
#include "tensor/dequantize_internal.hpp"

namespace tenon {

// E4M3, finite form: bias 7, no infinities, all ones is NaN; the least subnormal is 2^-9.
static float e4m3_to_float(uint8_t b) {
  const uint32_t sign = static_cast<uint32_t>(b & 0x80u) << 24;
  const uint32_t exponent = (b >> 3) & 15u, fraction = b & 7u;
  if (exponent == 15 && fraction == 7) return std::bit_cast<float>(sign | 0x7fc00000u);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 120) << 23 | fraction << 20);
  const float magnitude = static_cast<float>(fraction) * 0x1p-9f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

namespace blocks {
namespace {

// Q4_0: f16 d, 16 bytes; byte i holds elements i (low nibble) and i + 16; value d * (q - 8).
void q4_0(const std::byte* src, float* dst) {
  const float d = load_half(src);
  for (int i = 0; i < 16; ++i) {
    const int q = u8(src, 2 + i);
    dst[i] = d * static_cast<float>((q & 15) - 8);
    dst[i + 16] = d * static_cast<float>((q >> 4) - 8);
  }
}

// Q4_1: f16 d, f16 m, nibbles as in Q4_0; value d * q + m, rounded after each operation.
void q4_1(const std::byte* src, float* dst) {
  const float d = load_half(src), m = load_half(src + 2);
  for (int i = 0; i < 16; ++i) {
    const int q = u8(src, 4 + i);
    dst[i] = d * static_cast<float>(q & 15) + m;
    dst[i + 16] = d * static_cast<float>(q >> 4) + m;
  }
}

// Q5_0: f16 d, u32 of fifth bits (bit i belongs to element i), nibbles as in Q4_0; value d * (q - 16).
void q5_0(const std::byte* src, float* dst) {
  const float d = load_half(src);
  const auto high = load<uint32_t>(src + 2);
  for (int i = 0; i < 16; ++i) {
    const int q = u8(src, 6 + i);
    const int low_fifth = static_cast<int>(high >> i & 1) << 4, high_fifth = static_cast<int>(high >> (i + 16) & 1)
                                                                             << 4;
    dst[i] = d * static_cast<float>(((q & 15) | low_fifth) - 16);
    dst[i + 16] = d * static_cast<float>(((q >> 4) | high_fifth) - 16);
  }
}

// Q5_1: f16 d, f16 m, fifth bits, nibbles; value d * q + m.
void q5_1(const std::byte* src, float* dst) {
  const float d = load_half(src), m = load_half(src + 2);
  const auto high = load<uint32_t>(src + 4);
  for (int i = 0; i < 16; ++i) {
    const int q = u8(src, 8 + i);
    const int low_fifth = static_cast<int>(high >> i & 1) << 4, high_fifth = static_cast<int>(high >> (i + 16) & 1)
                                                                             << 4;
    dst[i] = d * static_cast<float>((q & 15) | low_fifth) + m;
    dst[i + 16] = d * static_cast<float>((q >> 4) | high_fifth) + m;
  }
}

// Q8_0: f16 d, 32 signed bytes; value q * d.
void q8_0(const std::byte* src, float* dst) {
  const float d = load_half(src);
  const int8_t* q = as_int8(src + 2);
  for (int i = 0; i < 32; ++i) dst[i] = static_cast<float>(q[i]) * d;
}

// F8 blocks: f32 scale, then E4M3 codes; value code * scale.
template <int kElems>
void f8_block(const std::byte* src, float* dst) {
  const auto scale = load<float>(src);
  for (int i = 0; i < kElems; ++i) dst[i] = e4m3_to_float(u8(src, 4 + i)) * scale;
}

// I4: f32 scale, nibbles as in Q4_0; value (q - 8) * scale.
void i4_b32(const std::byte* src, float* dst) {
  const auto scale = load<float>(src);
  for (int i = 0; i < 16; ++i) {
    const int q = u8(src, 4 + i);
    dst[i] = static_cast<float>((q & 15) - 8) * scale;
    dst[i + 16] = static_cast<float>((q >> 4) - 8) * scale;
  }
}

}  // namespace
}  // namespace blocks

namespace {

template <typename T>
void cast_row(const std::byte* src, float* dst, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    dst[i] = static_cast<float>(blocks::load<T>(src + i * static_cast<int64_t>(sizeof(T))));
}

template <typename Fn>
void map_u16(const std::byte* src, float* dst, int64_t n, Fn&& fn) {
  for (int64_t i = 0; i < n; ++i) dst[i] = fn(blocks::load<uint16_t>(src + 2 * i));
}

// E5M2 is the upper half of a binary16.
float e5m2_to_float(uint8_t b) { return half_to_float(static_cast<uint16_t>(b << 8)); }

using BlockFn = void (*)(const std::byte*, float*);

BlockFn block_function(DType dtype) {
  switch (dtype) {
    case DType::q4_0:
      return blocks::q4_0;
    case DType::q4_1:
      return blocks::q4_1;
    case DType::q5_0:
      return blocks::q5_0;
    case DType::q5_1:
      return blocks::q5_1;
    case DType::q8_0:
      return blocks::q8_0;
    case DType::q2_k:
      return blocks::q2_k;
    case DType::q3_k:
      return blocks::q3_k;
    case DType::q4_k:
      return blocks::q4_k;
    case DType::q5_k:
      return blocks::q5_k;
    case DType::q6_k:
      return blocks::q6_k;
    case DType::iq1_s:
      return blocks::iq1_s;
    case DType::iq1_m:
      return blocks::iq1_m;
    case DType::iq2_xxs:
      return blocks::iq2_xxs;
    case DType::iq2_xs:
      return blocks::iq2_xs;
    case DType::iq2_s:
      return blocks::iq2_s;
    case DType::iq3_xxs:
      return blocks::iq3_xxs;
    case DType::iq3_s:
      return blocks::iq3_s;
    case DType::iq4_nl:
      return blocks::iq4_nl;
    case DType::iq4_xs:
      return blocks::iq4_xs;
    case DType::tq1_0:
      return blocks::tq1_0;
    case DType::tq2_0:
      return blocks::tq2_0;
    case DType::mxfp4:
      return blocks::mxfp4;
    case DType::nvfp4:
      return blocks::nvfp4;
    case DType::f8_b128:
      return blocks::f8_block<128>;
    case DType::f8_b32:
      return blocks::f8_block<32>;
    case DType::i4_b32:
      return blocks::i4_b32;
    default:
      return nullptr;
  }
}

void dequantize_blocks(DType dtype, const std::byte* src, float* dst, int64_t n) {
  const DTypeInfo& info = dtype_info(dtype);
  const BlockFn fn = block_function(dtype);
  if (!fn || !info.has_reference)
    fail(ErrorCode::unsupported, "[dequantize] no reference for the block format {}", info.name);
  const int64_t rest = n % info.block_elems;
  if (rest != 0 && !info.padded_rows)
    fail(ErrorCode::bad_model, "[dequantize] {} elements are no multiple of the {} in a block of {}", n,
         info.block_elems, info.name);
  for (int64_t i = 0; i < n - rest; i += info.block_elems, src += info.block_bytes) fn(src, dst + i);
  if (rest == 0) return;
  float last[256];
  fn(src, last);
  std::copy_n(last, rest, dst + n - rest);
}

}  // namespace

void dequantize_row(DType dtype, const std::byte* src, float* dst, int64_t n) {
  const auto byte = [src](int64_t i) { return static_cast<uint8_t>(src[i]); };
  switch (dtype) {
    case DType::f64:
      return cast_row<double>(src, dst, n);
    case DType::f32:
      return cast_row<float>(src, dst, n);
    case DType::f16:
      return map_u16(src, dst, n, half_to_float);
    case DType::bf16:
      return map_u16(src, dst, n, bf16_to_float);
    case DType::i8:
      return cast_row<int8_t>(src, dst, n);
    case DType::i16:
      return cast_row<int16_t>(src, dst, n);
    case DType::i32:
      return cast_row<int32_t>(src, dst, n);
    case DType::i64:
      return cast_row<int64_t>(src, dst, n);
    case DType::u8:
      return cast_row<uint8_t>(src, dst, n);
    case DType::u16:
      return cast_row<uint16_t>(src, dst, n);
    case DType::u32:
      return cast_row<uint32_t>(src, dst, n);
    case DType::u64:
      return cast_row<uint64_t>(src, dst, n);
    case DType::boolean:
      for (int64_t i = 0; i < n; ++i) dst[i] = byte(i) ? 1.0f : 0.0f;
      return;
    case DType::f8_e4m3:
      for (int64_t i = 0; i < n; ++i) dst[i] = e4m3_to_float(byte(i));
      return;
    case DType::f8_e5m2:
      for (int64_t i = 0; i < n; ++i) dst[i] = e5m2_to_float(byte(i));
      return;
    default:
      dequantize_blocks(dtype, src, dst, n);
  }
}

}  // namespace tenon
