// TensorTable: entries of parsed files become views into their mappings, indexed by name.
#include "checkpoint/tensor_table.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"

namespace tenon {
namespace {

// Kernels read plain types through typed pointers; safetensors lets a tensor start at any byte.
bool is_aligned(const std::byte* data, DType dtype) {
  const DTypeInfo& info = dtype_info(dtype);
  return info.block_elems > 1 || reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(info.block_bytes) == 0;
}

HostTensor place(const std::shared_ptr<const MappedFile>& file, TensorEntry& entry) {
  const std::byte* data = file->bytes().data() + entry.offset;
  if (is_aligned(data, entry.dtype)) return {entry.dtype, std::move(entry.shape), data, entry.bytes, file};
  HostTensor copy = HostTensor::allocate(entry.dtype, std::move(entry.shape), entry.name);
  std::memcpy(copy.mutable_data(), data, entry.bytes);
  return copy;
}

}  // namespace

void TensorTable::add(const std::shared_ptr<const MappedFile>& file, std::vector<TensorEntry> entries,
                      std::string_view prefix) {
  const std::string file_name = file->path().filename().string();
  tensors_.reserve(tensors_.size() + entries.size());
  for (TensorEntry& entry : entries) {
    HostTensor tensor = place(file, entry);
    tensors_.push_back({prefix.empty() ? std::move(entry.name) : std::string(prefix) + entry.name, std::move(tensor),
                        file_name, entry.offset});
  }
}

void TensorTable::finish() {
  by_name_.resize(tensors_.size());
  for (uint32_t i = 0; i < by_name_.size(); ++i) by_name_[i] = i;
  const auto less = [this](uint32_t a, uint32_t b) { return tensors_[a].name < tensors_[b].name; };
  std::sort(by_name_.begin(), by_name_.end(), less);
  for (size_t i = 1; i < by_name_.size(); ++i) {
    const StoredTensor &a = tensors_[by_name_[i - 1]], &b = tensors_[by_name_[i]];
    if (a.name == b.name)
      fail(ErrorCode::bad_model, "[{}] tensor {} is also in {}", b.file, in_quotes(b.name), in_quotes(a.file));
  }
}

const StoredTensor* TensorTable::find(std::string_view name) const {
  const auto less = [this](uint32_t i, std::string_view wanted) { return tensors_[i].name < wanted; };
  const auto at = std::lower_bound(by_name_.begin(), by_name_.end(), name, less);
  return at != by_name_.end() && tensors_[*at].name == name ? &tensors_[*at] : nullptr;
}

}  // namespace tenon
