// The tensors of a checkpoint in file order, found by name. Shared by both formats.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/mapped_file.hpp"
#include "checkpoint/checkpoint.hpp"
#include "checkpoint/parse.hpp"

namespace tenon {

class TensorTable {
 public:
  /// Adds a file's tensors, in place in its mapping, `prefix` before their names. A plain type that is not aligned
  /// there is copied.
  void add(const std::shared_ptr<const MappedFile>& file, std::vector<TensorEntry> entries,
           std::string_view prefix = {});
  /// Builds the index; Error{bad_model} when two files hold a tensor of the same name.
  void finish();

  std::span<const StoredTensor> tensors() const { return tensors_; }
  const StoredTensor* find(std::string_view name) const;

 private:
  std::vector<StoredTensor> tensors_;
  std::vector<uint32_t> by_name_;
};

std::shared_ptr<const Checkpoint> open_gguf(const std::filesystem::path& path);
std::shared_ptr<const Checkpoint> open_model_directory(const std::filesystem::path& path);

}  // namespace tenon
