// The implementations of one instruction set, best first: integer arithmetic, then float32; few rows, then many.
#pragma once

#include "backend/cpu/kernels/shared/f32_panel.hpp"
#include "backend/cpu/kernels/shared/f32_rows.hpp"
#include "backend/cpu/kernels/shared/int16_panel.hpp"
#include "backend/cpu/kernels/shared/int8_panel.hpp"
#include "backend/cpu/kernels/shared/int8_rows.hpp"
#include "backend/cpu/linear_parts.hpp"

namespace tenon::cpu {
namespace {

inline const char* refuse_int8(const LinearShape& s) {
  if (s.exact) return "rounds activations to int8";
  int64_t multiple = 0;
  with_code_type(s.w, [&]<DType T>() { multiple = Codes<T>::kSuper ? 256 : 32; });
  if (multiple == 0) return "no integer kernel for this weight type";
  return s.k % multiple == 0 ? nullptr : "k is no multiple of the weight type's block";
}

inline const char* refuse_int16(const LinearShape& s) {
  if (s.exact) return "rounds activations to 14 bits";
  if (s.w != DType::f16 && s.w != DType::bf16) return "the weight type is no 16-bit float";
  return s.k % 32 == 0 ? nullptr : "k is no multiple of 32";
}

inline const char* refuse_f32(const LinearShape& s) {
  const DTypeInfo& info = dtype_info(s.w);
  if (!info.has_reference) return "the weight type has no reference dequantiser";
  const bool padded = with_f8_type(s.w, []<DType>() {});
  return padded || s.k % info.block_elems == 0 ? nullptr : "k is no multiple of the weight type's block";
}

inline const char* kTooManyRows = "too many activation rows: a panel is quicker";

template <class Isa>
const char* refuse_int8_rows(const LinearShape& s) {
  return s.m > Isa::kInt8Rows ? kTooManyRows : refuse_int8(s);
}

template <class Isa>
const char* refuse_f32_rows(const LinearShape& s) {
  return s.m > Isa::kF32Rows ? kTooManyRows : refuse_f32(s);
}

template <class Isa>
const char* refuse_int16_panel(const LinearShape& s) {
  return s.m <= Isa::kF32Rows ? "few activation rows: streaming is quicker" : refuse_int16(s);
}

inline size_t no_scratch(const LinearShape&) { return 0; }

template <class Isa>
struct Formats {
  static constexpr ActFormat kInt8Rows{"int8 rows", Int8Rows::bytes, Int8Rows::units, Int8Rows::pack};
  static constexpr ActFormat kInt8Tiles{"int8 tiles", Int8Tiles<Isa>::bytes, Int8Tiles<Isa>::units,
                                        Int8Tiles<Isa>::pack};
  static constexpr ActFormat kInt16Tiles{"int16 tiles", Int16Tiles::bytes, Int16Tiles::units, Int16Tiles::pack};
  static constexpr ActFormat kF32Tiles{"f32 tiles", F32Tiles::bytes, F32Tiles::units, F32Tiles::pack};
};

template <class Isa>
constexpr LinearImpl kImpls[] = {
    {Isa::kInt8RowsName, refuse_int8_rows<Isa>, &Formats<Isa>::kInt8Rows, no_scratch, 16, run_int8_rows<Isa>},
    {Isa::kInt8PanelName, refuse_int8, &Formats<Isa>::kInt8Tiles, no_scratch, 2 * Isa::kWide, run_int8_panel<Isa>},
    {Isa::kInt16PanelName, refuse_int16_panel<Isa>, &Formats<Isa>::kInt16Tiles, no_scratch, 2 * Isa::kWide,
     run_int16_panel<Isa>},
    {Isa::kF32RowsName, refuse_f32_rows<Isa>, nullptr, no_scratch, 16, run_f32_rows<Isa>},
    {Isa::kF32PanelName, refuse_f32, &Formats<Isa>::kF32Tiles, no_scratch, 2 * Isa::kWide, run_f32_panel<Isa>},
};

template <class Isa>
ImplTable impl_table() {
  return {kImpls<Isa>, sizeof(kImpls<Isa>) / sizeof(LinearImpl), expand_any_row};
}

}  // namespace
}  // namespace tenon::cpu
