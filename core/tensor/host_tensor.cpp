// HostTensor: sizes from the shape, owned buffers, float32 copies.
#include "tensor/host_tensor.hpp"

#include <cstdlib>

#include "base/checked.hpp"

namespace tenon {

int64_t HostTensor::elements() const { return checked_elements(shape, "tensor"); }

int64_t HostTensor::rows() const {
  const int64_t per_row = row_elems();
  return per_row == 0 ? 0 : elements() / per_row;
}

uint64_t HostTensor::row_bytes() const { return dtype_bytes(dtype, static_cast<uint64_t>(row_elems()), "tensor"); }

HostTensor HostTensor::allocate(DType dtype, std::vector<int64_t> shape, std::string_view what) {
  const auto elems = static_cast<uint64_t>(checked_elements(shape, what));
  HostTensor tensor{dtype, std::move(shape), nullptr, dtype_bytes(dtype, elems, what), nullptr};
  // calloc gives large buffers as untouched zero pages, and memory aligned for every element type.
  void* memory = std::calloc(tensor.bytes > 0 ? tensor.bytes : 1, 1);
  if (!memory) fail(ErrorCode::capacity, "[{}] {} bytes cannot be allocated", what, tensor.bytes);
  tensor.owner = std::shared_ptr<void>(memory, std::free);
  tensor.data = static_cast<const std::byte*>(memory);
  return tensor;
}

HostTensor HostTensor::to_f32(std::string_view what) const {
  HostTensor out = allocate(DType::f32, shape, what);
  dequantize_row(dtype, data, reinterpret_cast<float*>(out.mutable_data()), elements());
  return out;
}

}  // namespace tenon
