// The two file formats as functions of bytes alone: no file system, so tests and fuzzers call them directly.
// Both check every size before memory is taken and every span against the bytes at hand; both throw Error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.hpp"
#include "tensor/dtype.hpp"

namespace tenon {

/// A tensor's place in its file: `bytes` bytes from `offset`, which counts from the start of the file.
struct TensorEntry {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;  // row-major
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

struct GgufContents {
  Value metadata;  // an object of all key-values
  std::vector<TensorEntry> tensors;
};

/// `file` names the bytes in messages.
GgufContents parse_gguf(std::span<const std::byte> bytes, std::string_view file);
std::vector<TensorEntry> parse_safetensors(std::span<const std::byte> bytes, std::string_view file);

/// Tensors and key-values of one file, at most.
inline constexpr uint64_t kMaxTensors = 1'000'000;
inline constexpr uint64_t kMaxKeyValues = 65'536;

}  // namespace tenon
