// A GGUF checkpoint that is nothing but metadata.
#pragma once

#include "checkpoint/checkpoint.hpp"

namespace tenon::test {

class FakeCheckpoint final : public Checkpoint {
 public:
  explicit FakeCheckpoint(Value metadata) : metadata_(std::move(metadata)) {}
  Format format() const override { return Format::gguf; }
  const Value& metadata() const override { return metadata_; }
  const Value* side_json(std::string_view) const override { return nullptr; }
  std::span<const StoredTensor> tensors() const override { return {}; }
  const StoredTensor* find(std::string_view) const override { return nullptr; }
  const std::filesystem::path& path() const override { return path_; }

 private:
  Value metadata_;
  std::filesystem::path path_ = "fake.gguf";
};

}  // namespace tenon::test
