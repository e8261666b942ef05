// A checkpoint as files hold it: metadata and named tensors, read in place from mapped files. Read-only, thread-safe.
//   GGUF v2/v3, single or split (spec: GGUF document of the format's authors); safetensors, single or with an index.
// Everything a file says is checked before memory is taken for it; errors name file, field and both numbers.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.hpp"
#include "tensor/host_tensor.hpp"

namespace tenon {

enum class Format { safetensors, gguf };

struct StoredTensor {
  std::string name;
  HostTensor tensor;    // shape row-major [out, in] in both formats; data points into the mapping
  std::string file;     // file name inside the checkpoint, for messages
  uint64_t offset = 0;  // from the start of that file
};

class Checkpoint {
 public:
  /// `path`: a .gguf file (the first of a split set included) or a directory with config.json and *.safetensors.
  /// Throws Error{not_found | bad_model | unsupported | io}.
  static std::shared_ptr<const Checkpoint> open(const std::filesystem::path& path);

  virtual ~Checkpoint() = default;
  virtual Format format() const = 0;
  /// safetensors: config.json. GGUF: an object of all key-values with their full keys ("{architecture}.block_count").
  virtual const Value& metadata() const = 0;
  /// A further file of a model directory as parsed JSON ("generation_config.json", "tokenizer_config.json"); nullptr
  /// when absent or when the checkpoint is a GGUF. Parsed at most once.
  virtual const Value* side_json(std::string_view file_name) const = 0;
  virtual std::span<const StoredTensor> tensors() const = 0;
  /// nullptr when there is no such tensor.
  virtual const StoredTensor* find(std::string_view name) const = 0;
  virtual const std::filesystem::path& path() const = 0;
  /// The bytes of one of tensors(), which a view may have to make first: its type is known only then.
  virtual HostTensor load(const StoredTensor& tensor) const { return tensor.tensor; }

  /// GGUF key-values by full key; config.json members by dotted path. nullptr when absent or null.
  const Value* meta(std::string_view key) const {
    if (format() == Format::safetensors) return metadata().find_path(key);
    const Value* v = metadata().find(key);
    return v && !v->is_null() ? v : nullptr;
  }
};

}  // namespace tenon
