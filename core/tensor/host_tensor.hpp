// A tensor in host memory: a view into a mapped file, or bytes of its own. Cheap to copy; the bytes are shared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tensor/dtype.hpp"

namespace tenon {

struct HostTensor {
  DType dtype = DType::f32;
  std::vector<int64_t> shape;       // row-major, outermost first: a linear weight is [out, in]
  const std::byte* data = nullptr;  // rows are contiguous
  uint64_t bytes = 0;
  std::shared_ptr<const void> owner;  // keeps `data` alive: a mapping or a buffer
  /// Where each slice along the first axis begins when they lie apart, `data` being the first of them; else null.
  std::shared_ptr<const std::vector<const std::byte*>> parts = nullptr;

  int64_t elements() const;
  int64_t row_elems() const { return shape.empty() ? 1 : shape.back(); }
  int64_t rows() const;        // elements / row_elems
  uint64_t row_bytes() const;  // bytes of one innermost row
  const std::byte* row(int64_t r) const;
  const std::byte* part(int64_t i) const;  // slice i along the first axis

  /// A new tensor with zeroed bytes of its own. Error{capacity} when it cannot be allocated.
  static HostTensor allocate(DType dtype, std::vector<int64_t> shape, std::string_view what);
  /// Itself, or a copy whose slices lie one after the other.
  HostTensor joined(std::string_view what) const;
  /// A float32 copy through the reference dequantiser.
  HostTensor to_f32(std::string_view what) const;
  /// Mutable access for the code that has just allocated it.
  std::byte* mutable_data() { return const_cast<std::byte*>(data); }
};

}  // namespace tenon
