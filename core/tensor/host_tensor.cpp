// HostTensor: sizes from the shape, owned buffers, float32 copies.
#include "tensor/host_tensor.hpp"

#include <algorithm>
#include <cstdlib>

#include "base/checked.hpp"

namespace tenon {

int64_t HostTensor::elements() const { return checked_elements(shape, "tensor"); }

int64_t HostTensor::rows() const {
  const int64_t per_row = row_elems();
  return per_row == 0 ? 0 : elements() / per_row;
}

uint64_t HostTensor::row_bytes() const { return dtype_row_bytes(dtype, static_cast<uint64_t>(row_elems()), "tensor"); }

HostTensor HostTensor::allocate(DType dtype, std::vector<int64_t> shape, std::string_view what) {
  checked_elements(shape, what);
  HostTensor tensor{dtype, std::move(shape), nullptr, 0, nullptr};
  const uint64_t row = dtype_row_bytes(dtype, static_cast<uint64_t>(tensor.row_elems()), what);
  tensor.bytes = checked_mul(static_cast<uint64_t>(tensor.rows()), row, what);
  // calloc gives large buffers as untouched zero pages, and memory aligned for every element type.
  void* memory = std::calloc(tensor.bytes > 0 ? tensor.bytes : 1, 1);
  if (!memory) fail(ErrorCode::capacity, "[{}] {} bytes cannot be allocated", what, tensor.bytes);
  tensor.owner = std::shared_ptr<void>(memory, std::free);
  tensor.data = static_cast<const std::byte*>(memory);
  return tensor;
}

const std::byte* HostTensor::part(int64_t i) const {
  return parts ? (*parts)[static_cast<size_t>(i)]
               : data + bytes / static_cast<uint64_t>(shape[0]) * static_cast<uint64_t>(i);
}

const std::byte* HostTensor::row(int64_t r) const {
  if (!parts) return data + static_cast<uint64_t>(r) * row_bytes();
  const int64_t rows_per_part = rows() / shape[0];
  return part(r / rows_per_part) + static_cast<uint64_t>(r % rows_per_part) * row_bytes();
}

HostTensor HostTensor::joined(std::string_view what) const {
  if (!parts) return *this;
  HostTensor out = allocate(dtype, shape, what);
  const uint64_t each = bytes / parts->size();
  for (size_t i = 0; i < parts->size(); ++i) std::copy_n((*parts)[i], each, out.mutable_data() + i * each);
  return out;
}

HostTensor HostTensor::to_f32(std::string_view what) const {
  HostTensor out = allocate(DType::f32, shape, what);
  auto* to = reinterpret_cast<float*>(out.mutable_data());
  if (dtype_info(dtype).padded_rows) {
    for (int64_t r = 0; r < rows(); ++r) dequantize_row(dtype, row(r), to + r * row_elems(), row_elems());
    return out;
  }
  const int64_t n = parts ? shape[0] : 1, each = elements() / n;
  for (int64_t i = 0; i < n; ++i) dequantize_row(dtype, parts ? part(i) : data, to + i * each, each);
  return out;
}

}  // namespace tenon
