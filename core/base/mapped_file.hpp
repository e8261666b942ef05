// A read-only memory-mapped file, shared by everything that points into it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace tenon {

class MappedFile {
 public:
  /// Maps a whole regular file; Error{not_found} or Error{io} naming the path otherwise. An empty file maps to an empty
  /// span.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::filesystem::path path_;
};

/// Reads a whole small file (at most `max_bytes`); Error{not_found}, Error{io} or Error{capacity} naming the path.
std::string read_file(const std::filesystem::path& path, size_t max_bytes = size_t{512} << 20);

/// The SHA-256 of a file's bytes or of a buffer, in lower-case hex.
std::string sha256_hex(std::span<const std::byte> bytes);

}  // namespace tenon
