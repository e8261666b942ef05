// The implementations of one instruction set, best first: integer arithmetic, then float32; few rows, then many.
#pragma once

#include "backend/cpu/kernels/shared/f32_panel.hpp"
#include "backend/cpu/kernels/shared/f32_rows.hpp"
#include "backend/cpu/kernels/shared/int8_panel.hpp"
#include "backend/cpu/kernels/shared/int8_rows.hpp"
#include "backend/cpu/linear_parts.hpp"

namespace tenon::cpu {
namespace {

inline const char* refuse_int8(const LinearShape& s) {
  if (s.exact) return "rounds activations to int8";
  if (s.w != DType::q4_0 && s.w != DType::q4_1 && s.w != DType::q8_0) return "no integer kernel for this weight type";
  if (s.k % 32 != 0) return "k is no multiple of 32";
  return nullptr;
}

inline const char* refuse_f32(const LinearShape& s) {
  switch (s.w) {
    case DType::f32:
    case DType::f16:
    case DType::bf16:
      return nullptr;
    case DType::q4_0:
    case DType::q4_1:
    case DType::q8_0:
      return s.k % 32 == 0 ? nullptr : "k is no multiple of 32";
    default:
      return "no float kernel for this weight type";
  }
}

inline const char* kTooManyRows = "too many activation rows: a panel is quicker";

template <class Isa>
const char* refuse_int8_rows(const LinearShape& s) {
  const int most = s.w == DType::q8_0 ? Isa::kInt8RowsQ8 : Isa::kInt8RowsQ4;
  return s.m > most ? kTooManyRows : refuse_int8(s);
}

template <class Isa>
const char* refuse_f32_rows(const LinearShape& s) {
  return s.m > Isa::kF32Rows ? kTooManyRows : refuse_f32(s);
}

inline size_t no_scratch(const LinearShape&) { return 0; }

template <class Isa>
struct Formats {
  static constexpr ActFormat kInt8Rows{"int8 rows", Int8Rows::bytes, Int8Rows::units, Int8Rows::pack};
  static constexpr ActFormat kInt8Tiles{"int8 tiles", Int8Tiles<Isa>::bytes, Int8Tiles<Isa>::units,
                                        Int8Tiles<Isa>::pack};
  static constexpr ActFormat kF32Tiles{"f32 tiles", F32Tiles::bytes, F32Tiles::units, F32Tiles::pack};
};

template <class Isa>
constexpr LinearImpl kImpls[] = {
    {Isa::kInt8RowsName, refuse_int8_rows<Isa>, &Formats<Isa>::kInt8Rows, no_scratch, 16, run_int8_rows<Isa>},
    {Isa::kInt8PanelName, refuse_int8, &Formats<Isa>::kInt8Tiles, no_scratch, 2 * Isa::kWide, run_int8_panel<Isa>},
    {Isa::kF32RowsName, refuse_f32_rows<Isa>, nullptr, no_scratch, 16, run_f32_rows<Isa>},
    {Isa::kF32PanelName, refuse_f32, &Formats<Isa>::kF32Tiles, no_scratch, 2 * Isa::kWide, run_f32_panel<Isa>},
};

template <class Isa>
ImplTable impl_table() {
  return {kImpls<Isa>, sizeof(kImpls<Isa>) / sizeof(LinearImpl)};
}

}  // namespace
}  // namespace tenon::cpu
