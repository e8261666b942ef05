// Hand-made checkpoint files: a GGUF writer that obeys any wish, a safetensors writer, and a temporary directory.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace tenon::test {

inline std::span<const std::byte> bytes_of(const std::string& s) { return std::as_bytes(std::span(s)); }

/// Little-endian bytes, appended in call order.
struct Bytes {
  std::string s;
  template <typename T>
  Bytes& put(T value) {
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    s.append(raw, sizeof value);
    return *this;
  }
  Bytes& u32(uint32_t v) { return put(v); }
  Bytes& u64(uint64_t v) { return put(v); }
  Bytes& str(std::string_view v) { return u64(v.size()).raw(v); }
  Bytes& raw(std::string_view v) {
    s += v;
    return *this;
  }
  Bytes& pad(size_t alignment) {
    s.resize((s.size() + alignment - 1) / alignment * alignment);
    return *this;
  }
  Bytes& header(uint64_t tensors, uint64_t key_values, uint32_t version = 3) {
    return raw("GGUF").u32(version).u64(tensors).u64(key_values);
  }
  Bytes& kv_u32(std::string_view key, uint32_t value) { return str(key).u32(4).u32(value); }
  Bytes& tensor(std::string_view name, std::initializer_list<uint64_t> dims, uint32_t type, uint64_t offset) {
    str(name).u32(static_cast<uint32_t>(dims.size()));
    for (uint64_t d : dims) u64(d);
    return u32(type).u64(offset);
  }
};

inline std::string safetensors(std::string_view header, size_t data_bytes) {
  return Bytes().str(header).raw(std::string(data_bytes, '\1')).s;
}

class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "tenon-checkpoint-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::filesystem::path write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path_ / name;
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct Refusal {
  ErrorCode code = ErrorCode::internal;
  std::string message = "accepted";
};

/// What an action throws; "accepted" when nothing.
inline Refusal refusal_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return {e.code(), e.what()};
  }
  return {};
}

inline bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace tenon::test
