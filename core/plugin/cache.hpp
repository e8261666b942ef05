// Private copies of plugin files, named by their content. What was checked is what is loaded: the drop-in file may be
// replaced or truncated at any time, the copy is not.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace tenon {

/// A file descriptor that closes itself.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd();
  int get() const { return fd_; }
  void reset();

 private:
  int fd_ = -1;
};

/// Something dlopen can load: a path, kept alive by `memory` when it lies in no directory.
struct LoadableFile {
  std::filesystem::path path;
  UniqueFd memory;
};

/// `<base>/tenon/<leaf>`, made when absent, where base is XDG_CACHE_HOME or ~/.cache when empty. Nothing when it cannot
/// be made or others could write to it.
std::optional<std::filesystem::path> private_cache_dir(std::string_view leaf, const std::filesystem::path& base = {});

/// Replaces a file's content in one step; false when the system refused.
bool write_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes, mode_t mode);

/// Stores a plugin's bytes as `<cache>/plugins/<sha256>.so`, or in memory when there is no writable cache;
/// Error{io} when neither works.
LoadableFile store_plugin(std::span<const std::byte> bytes, const std::string& sha256,
                          const std::filesystem::path& base = {});

}  // namespace tenon
