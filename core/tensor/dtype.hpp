// Element types and block formats as files store them, and three blocks that only memory holds: quantised safetensors
// keep their codes and their scales in tensors of their own, which are laid side by side when a weight is loaded. One
// table says what each is; ids of GGUF are a column of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace tenon {

// clang-format off
enum class DType : uint8_t {
  f64, f32, f16, bf16, i8, i16, i32, i64, u8, u16, u32, u64, boolean, f8_e4m3, f8_e5m2,
  q4_0, q4_1, q5_0, q5_1, q8_0, q8_1, q2_k, q3_k, q4_k, q5_k, q6_k, q8_k,
  iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s, iq4_nl, iq4_xs, tq1_0, tq2_0, mxfp4, nvfp4,
  f8_b128, f8_b32, i4_b32,
  count_
};
// clang-format on

struct DTypeInfo {
  DType dtype;
  std::string_view name;  // upper case as files spell it: "F32", "Q4_0", "F8_E4M3"
  int block_elems;        // elements per block; 1 for plain types
  int block_bytes;        // bytes per block
  int gguf_id;            // -1: GGUF has none
  bool has_reference;     // dequantize_row can read it
  bool padded_rows;       // a row may end inside its last block, whose rest is zero
};

/// The table row of a type.
const DTypeInfo& dtype_info(DType dtype);
/// The type of a GGUF id, or nothing for ids that were removed or are unknown.
std::optional<DType> dtype_from_gguf(uint32_t id);
/// The type of an upper-case name ("BF16", "Q4_0"), or nothing.
std::optional<DType> dtype_from_name(std::string_view name);

/// True for block-quantised formats (more than one element per block).
inline bool is_block(DType dtype) { return dtype_info(dtype).block_elems > 1; }

/// Bytes of `elems` consecutive elements; Error{bad_model} when elems is no multiple of the block or the size
/// overflows.
uint64_t dtype_bytes(DType dtype, uint64_t elems, std::string_view what);

/// Bytes of one row of `k` elements: the last block may be padded where the type allows it.
uint64_t dtype_row_bytes(DType dtype, uint64_t k, std::string_view what);
/// The same for a length that was checked before: for kernels.
int64_t dtype_row_stride(DType dtype, int64_t k);

/// Reads `n` elements (a multiple of the block, or a whole row) as float32: the reference dequantiser, bit for bit that
/// of the formats' own numpy reference. Error{unsupported} for a type without has_reference.
void dequantize_row(DType dtype, const std::byte* src, float* dst, int64_t n);

float half_to_float(uint16_t h);  // exact, subnormals and NaN included
uint16_t float_to_half(float f);  // round to nearest even
inline float bf16_to_float(uint16_t b) { return __builtin_bit_cast(float, static_cast<uint32_t>(b) << 16); }
uint16_t float_to_bf16(float f);  // round to nearest even

}  // namespace tenon
