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

  int64_t elements() const;
  int64_t row_elems() const { return shape.empty() ? 1 : shape.back(); }
  int64_t rows() const;        // elements / row_elems
  uint64_t row_bytes() const;  // bytes of one innermost row
  const std::byte* row(int64_t r) const { return data + static_cast<uint64_t>(r) * row_bytes(); }

  /// A new tensor with zeroed bytes of its own. Error{capacity} when it cannot be allocated.
  static HostTensor allocate(DType dtype, std::vector<int64_t> shape, std::string_view what);
  /// A float32 copy through the reference dequantiser.
  HostTensor to_f32(std::string_view what) const;
  /// Mutable access for the code that has just allocated it.
  std::byte* mutable_data() { return const_cast<std::byte*>(data); }
};

}  // namespace tenon
