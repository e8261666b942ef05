// A checkpoint made in memory: metadata and f32 tensors by name.
#pragma once

#include <cstring>
#include <map>

#include "checkpoint/checkpoint.hpp"

namespace tenon::test {

class MemoryCheckpoint final : public Checkpoint {
 public:
  MemoryCheckpoint(Format format, Value metadata) : format_(format), metadata_(std::move(metadata)) {}

  void add(const std::string& name, std::vector<int64_t> shape, float first = 0) {
    HostTensor t = HostTensor::allocate(DType::f32, std::move(shape), name);
    auto* x = reinterpret_cast<float*>(t.mutable_data());
    for (int64_t i = 0; i < t.elements(); ++i) x[i] = first + static_cast<float>(i);
    tensors_.push_back({name, std::move(t), "memory", 0});
  }

  /// Bytes 0, 1, 2, ... of any type.
  void add_counting(const std::string& name, DType dtype, std::vector<int64_t> shape) {
    HostTensor t = HostTensor::allocate(dtype, std::move(shape), name);
    for (uint64_t i = 0; i < t.bytes; ++i) t.mutable_data()[i] = static_cast<std::byte>(i);
    tensors_.push_back({name, std::move(t), "memory", 0});
  }

  Format format() const override { return format_; }
  const Value& metadata() const override { return metadata_; }
  const Value* side_json(std::string_view) const override { return nullptr; }
  std::span<const StoredTensor> tensors() const override { return tensors_; }
  const StoredTensor* find(std::string_view name) const override {
    for (const StoredTensor& t : tensors_)
      if (t.name == name) return &t;
    return nullptr;
  }
  const std::filesystem::path& path() const override { return path_; }

 private:
  Format format_;
  Value metadata_;
  std::vector<StoredTensor> tensors_;
  std::filesystem::path path_ = "memory.model";
};

}  // namespace tenon::test
