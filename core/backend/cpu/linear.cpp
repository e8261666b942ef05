// The list of product implementations that this processor can run, and the choice among them.
#include "backend/cpu/linear.hpp"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "backend/cpu/linear_parts.hpp"
#include "base/error.hpp"

namespace tenon::cpu {
namespace {

enum class Isa { plain, avx2, avx512_vnni };

/// __builtin_cpu_supports asks the operating system too (XCR0).
Isa processor_isa() {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("f16c"))
    return Isa::plain;
  const bool vnni = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                    __builtin_cpu_supports("avx512vnni");
  return vnni ? Isa::avx512_vnni : Isa::avx2;
}

Isa used_isa() {
  static const Isa isa = [] {
    const Isa best = processor_isa();
    const char* const text = std::getenv("TENON_ISA");
    const std::string_view limit = text ? text : "";
    if (limit == "none") return Isa::plain;
    if (limit == "avx2") return std::min(best, Isa::avx2);
    return best;
  }();
  return isa;
}

// The roundings of so few activations do not average out, and integers save little time over them.
constexpr int64_t kShortRow = 128;

std::vector<LinearImpl> build_list() {
  std::vector<LinearImpl> list;
  const auto add = [&](ImplTable table) { list.insert(list.end(), table.first, table.first + table.count); };
  add(dnnl_impls());  // float32 weights only: a tenth ahead of the float32 panel (tests/bench/bench_linear.cpp)
  if (used_isa() >= Isa::avx512_vnni) add(avx512_vnni_impls());
  if (used_isa() >= Isa::avx2) add(avx2_impls());
  add(reference_impls());
  return list;
}

}  // namespace

std::span<const LinearImpl> linear_impls() {
  static const std::vector<LinearImpl> list = build_list();
  return list;
}

const LinearImpl& choose_linear(const LinearShape& shape, std::string_view force) {
  LinearShape asked = shape;
  if (force.empty() && shape.k < kShortRow) asked.exact = true;
  for (const LinearImpl& impl : linear_impls()) {
    if (!force.empty() && force != impl.name) continue;
    const char* const reason = impl.refuse(asked);
    if (!reason) return impl;
    if (!force.empty())
      fail(ErrorCode::usage, "[linear] {} refuses {} weights, n {} k {} m {}: {}", force, dtype_info(shape.w).name,
           shape.n, shape.k, shape.m, reason);
  }
  if (!force.empty()) fail(ErrorCode::usage, "[linear] there is no implementation named {}", force);
  fail(ErrorCode::unsupported, "[linear] nothing computes {} weights with n {} k {}", dtype_info(shape.w).name, shape.n,
       shape.k);
}

ExpandRow expand_row() {
  switch (used_isa()) {
    case Isa::avx512_vnni:
      return avx512_vnni_impls().expand;
    case Isa::avx2:
      return avx2_impls().expand;
    case Isa::plain:
      break;
  }
  return dequantize_row;
}

std::string cpu_isa() {
  switch (used_isa()) {
    case Isa::avx512_vnni:
      return "avx512-vnni";
    case Isa::avx2:
      return "avx2";
    case Isa::plain:
      break;
  }
  return "x86-64";
}

}  // namespace tenon::cpu
