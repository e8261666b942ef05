// Overflow-checked arithmetic for every size that comes out of a file or a request.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

#include "base/error.hpp"

namespace tenon {

/// a * b, or Error{bad_model} that names `what` and both factors.
inline uint64_t checked_mul(uint64_t a, uint64_t b, std::string_view what) {
  uint64_t r = 0;
  if (__builtin_mul_overflow(a, b, &r)) fail(ErrorCode::bad_model, "[{}] {} * {} overflows 64 bits", what, a, b);
  return r;
}

/// a + b, or Error{bad_model} that names `what` and both terms.
inline uint64_t checked_add(uint64_t a, uint64_t b, std::string_view what) {
  uint64_t r = 0;
  if (__builtin_add_overflow(a, b, &r)) fail(ErrorCode::bad_model, "[{}] {} + {} overflows 64 bits", what, a, b);
  return r;
}

/// The product of a shape's dimensions, each of which must be at least 0; Error{bad_model} otherwise.
inline int64_t checked_elements(std::span<const int64_t> shape, std::string_view what) {
  uint64_t n = 1;
  for (int64_t d : shape) {
    if (d < 0) fail(ErrorCode::bad_model, "[{}] negative dimension {}", what, d);
    n = checked_mul(n, static_cast<uint64_t>(d), what);
  }
  if (n > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    fail(ErrorCode::bad_model, "[{}] {} elements exceed 63 bits", what, n);
  return static_cast<int64_t>(n);
}

}  // namespace tenon
