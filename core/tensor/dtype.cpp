// The table of element types and block formats, and lookups in it. Sizes: GGUF's and safetensors' own documents.
#include "tensor/dtype.hpp"

#include <array>

#include "base/checked.hpp"

namespace tenon {
namespace {

// Q8_1 and Q8_K exist for activations only and never in files, so GGUF ids 9 and 15 lead to nothing.
constexpr std::array<DTypeInfo, static_cast<size_t>(DType::count_)> kTable = {{
    {DType::f64, "F64", 1, 8, 28, true, false},
    {DType::f32, "F32", 1, 4, 0, true, false},
    {DType::f16, "F16", 1, 2, 1, true, false},
    {DType::bf16, "BF16", 1, 2, 30, true, false},
    {DType::i8, "I8", 1, 1, 24, true, false},
    {DType::i16, "I16", 1, 2, 25, true, false},
    {DType::i32, "I32", 1, 4, 26, true, false},
    {DType::i64, "I64", 1, 8, 27, true, false},
    {DType::u8, "U8", 1, 1, -1, true, false},
    {DType::u16, "U16", 1, 2, -1, true, false},
    {DType::u32, "U32", 1, 4, -1, true, false},
    {DType::u64, "U64", 1, 8, -1, true, false},
    {DType::boolean, "BOOL", 1, 1, -1, true, false},
    {DType::f8_e4m3, "F8_E4M3", 1, 1, -1, true, false},
    {DType::f8_e5m2, "F8_E5M2", 1, 1, -1, true, false},
    {DType::q4_0, "Q4_0", 32, 18, 2, true, false},
    {DType::q4_1, "Q4_1", 32, 20, 3, true, false},
    {DType::q5_0, "Q5_0", 32, 22, 6, true, false},
    {DType::q5_1, "Q5_1", 32, 24, 7, true, false},
    {DType::q8_0, "Q8_0", 32, 34, 8, true, false},
    {DType::q8_1, "Q8_1", 32, 36, -1, false, false},
    {DType::q2_k, "Q2_K", 256, 84, 10, true, false},
    {DType::q3_k, "Q3_K", 256, 110, 11, true, false},
    {DType::q4_k, "Q4_K", 256, 144, 12, true, false},
    {DType::q5_k, "Q5_K", 256, 176, 13, true, false},
    {DType::q6_k, "Q6_K", 256, 210, 14, true, false},
    {DType::q8_k, "Q8_K", 256, 292, -1, false, false},
    {DType::iq1_s, "IQ1_S", 256, 50, 19, true, false},
    {DType::iq1_m, "IQ1_M", 256, 56, 29, true, false},
    {DType::iq2_xxs, "IQ2_XXS", 256, 66, 16, true, false},
    {DType::iq2_xs, "IQ2_XS", 256, 74, 17, true, false},
    {DType::iq2_s, "IQ2_S", 256, 82, 22, true, false},
    {DType::iq3_xxs, "IQ3_XXS", 256, 98, 18, true, false},
    {DType::iq3_s, "IQ3_S", 256, 110, 21, true, false},
    {DType::iq4_nl, "IQ4_NL", 32, 18, 20, true, false},
    {DType::iq4_xs, "IQ4_XS", 256, 136, 23, true, false},
    {DType::tq1_0, "TQ1_0", 256, 54, 34, true, false},
    {DType::tq2_0, "TQ2_0", 256, 66, 35, true, false},
    {DType::mxfp4, "MXFP4", 32, 17, 39, true, false},
    {DType::nvfp4, "NVFP4", 64, 36, 40, true, false},
    {DType::f8_b128, "F8_E4M3 x128", 128, 132, -1, true, true},
    {DType::f8_b32, "F8_E4M3 x32", 32, 36, -1, true, true},
    {DType::i4_b32, "I4 x32", 32, 20, -1, true, true},
}};

constexpr bool in_enum_order() {
  for (size_t i = 0; i < kTable.size(); ++i)
    if (static_cast<size_t>(kTable[i].dtype) != i) return false;
  return true;
}
static_assert(in_enum_order());

}  // namespace

const DTypeInfo& dtype_info(DType dtype) { return kTable.at(static_cast<size_t>(dtype)); }

std::optional<DType> dtype_from_gguf(uint32_t id) {
  for (const DTypeInfo& info : kTable)
    if (info.gguf_id >= 0 && static_cast<uint32_t>(info.gguf_id) == id) return info.dtype;
  return std::nullopt;
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const DTypeInfo& info : kTable)
    if (info.name == name) return info.dtype;
  return std::nullopt;
}

uint64_t dtype_bytes(DType dtype, uint64_t elems, std::string_view what) {
  const DTypeInfo& info = dtype_info(dtype);
  const auto per_block = static_cast<uint64_t>(info.block_elems);
  if (elems % per_block != 0)
    fail(ErrorCode::bad_model, "[{}] {} elements are no multiple of the {} in a block of {}", what, elems, per_block,
         info.name);
  return checked_mul(elems / per_block, static_cast<uint64_t>(info.block_bytes), what);
}

uint64_t dtype_row_bytes(DType dtype, uint64_t k, std::string_view what) {
  const DTypeInfo& info = dtype_info(dtype);
  if (!info.padded_rows) return dtype_bytes(dtype, k, what);
  const auto per_block = static_cast<uint64_t>(info.block_elems);
  return checked_mul(k / per_block + (k % per_block != 0), static_cast<uint64_t>(info.block_bytes), what);
}

int64_t dtype_row_stride(DType dtype, int64_t k) {
  const DTypeInfo& info = kTable[static_cast<size_t>(dtype)];
  return (k + info.block_elems - 1) / info.block_elems * info.block_bytes;
}

}  // namespace tenon
