// Matrix products of the CPU backend: y[m, n] = sum over k of x[m, k] * w[n, k], with w in its stored type straight
// from the mapped file. An ordered list of implementations; the first that accepts a shape wins, a plain loop is last.
// Threads, bias, residual and activation belong to the executor: run() is one thread's piece of the columns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tensor/dtype.hpp"

namespace tenon::cpu {

/// What a choice depends on. `m` is the number of activation rows in this step, `exact` forbids rounding activations.
struct LinearShape {
  DType w;
  int64_t n, k, m;
  bool exact;
};

/// How an implementation wants its activations. Implementations that name the same object share the packed bytes.
struct ActFormat {
  const char* name;
  size_t (*bytes)(int64_t m, int64_t k);   // of the packed form, a multiple of 64
  int64_t (*units)(int64_t m, int64_t k);  // independent pieces of the packing work
  /// Packs pieces [unit_begin, unit_end) of x[m, k] (rows ldx floats apart) into dst, which is 64-byte aligned.
  void (*pack)(const float* x, int64_t ldx, int64_t m, int64_t k, int64_t unit_begin, int64_t unit_end, std::byte* dst);
};

/// One piece of one product: columns [n_begin, n_end) of all m rows.
struct LinearCall {
  const std::byte* w;    // all n rows, consecutive, in shape.w
  const float* x;        // the activations as they are; read when the implementation's `act` is null
  int64_t ldx;           // floats from row to row of x
  const std::byte* act;  // the packed activations, 64-byte aligned; null when `act` is null
  float* y;              // row 0, column 0 of the result
  int64_t ldy;           // floats from row to row of y
  int64_t n_begin, n_end;
  std::byte* scratch;  // this thread's own scratch_bytes(shape), 64-byte aligned
  LinearShape shape;
};

struct LinearImpl {
  const char* name;
  const char* (*refuse)(const LinearShape&);    // nullptr accepts, else the reason
  const ActFormat* act;                         // nullptr: plain float32 rows through LinearCall::x
  size_t (*scratch_bytes)(const LinearShape&);  // per thread
  int64_t grain;                                // pieces should be multiples of this many columns
  void (*run)(const LinearCall&);               // neither throws nor allocates
};

/// Every implementation that this processor can run, best first, the plain loop last. TENON_ISA=avx2 or =none in the
/// environment leaves out what is above it.
std::span<const LinearImpl> linear_impls();

/// The first implementation that accepts the shape, for short rows the first that rounds no activations; with `force`
/// the one of that name, Error{usage} with its reason when it refuses or does not exist. Error{unsupported} when not
/// even the plain loop can read the type.
const LinearImpl& choose_linear(const LinearShape& shape, std::string_view force = {});

/// Weights from a row's start on as float32, within rounding the reference dequantiser's. `out` has room for `count`
/// rounded up to kExpandRoom.
using ExpandRow = void (*)(DType type, const std::byte* row, float* out, int64_t count);
inline constexpr int64_t kExpandRoom = 256;
/// The best one that this processor runs.
ExpandRow expand_row();

/// The instruction set that linear_impls() was filtered by: "avx512-vnni", "avx2" or "x86-64".
std::string cpu_isa();

}  // namespace tenon::cpu
