// The content-addressed cache of plugin files, and its fallback in anonymous memory.
#include "plugin/cache.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "plugin/elf_note.hpp"

namespace tenon {
namespace fs = std::filesystem;
namespace {

fs::path cache_base() {
  for (const auto& [variable, below] : {std::pair{"XDG_CACHE_HOME", ""}, std::pair{"HOME", ".cache"}})
    if (const char* value = secure_getenv(variable); value && value[0] == '/') return fs::path(value) / below;
  return {};
}

bool is_private(const fs::path& dir) {
  struct stat st{};
  return lstat(dir.c_str(), &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
         (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

bool write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return true;
}

bool holds(const fs::path& path, std::span<const std::byte> bytes) {
  std::error_code ec;
  if (!fs::is_regular_file(fs::symlink_status(path, ec)) || fs::file_size(path, ec) != bytes.size()) return false;
  try {
    const std::string content = read_file(path, kMaxPluginBytes);
    return content.size() == bytes.size() && std::memcmp(content.data(), bytes.data(), bytes.size()) == 0;
  } catch (const Error&) {
    return false;
  }
}

LoadableFile store_in_memory(std::span<const std::byte> bytes) {
  UniqueFd fd(memfd_create("tenon-plugin", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
  if (fd.get() < 0 || !write_all(fd.get(), bytes) || fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0)
    fail(ErrorCode::io, "[plugin cache] no writable cache directory, and no memory file: {}", std::strerror(errno));
  return {"/proc/self/fd/" + std::to_string(fd.get()), std::move(fd)};
}

}  // namespace

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

UniqueFd::~UniqueFd() { reset(); }

void UniqueFd::reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

std::optional<fs::path> private_cache_dir(std::string_view leaf, const fs::path& base) {
  const fs::path root = base.empty() ? cache_base() : base;
  if (root.empty()) return std::nullopt;
  std::error_code ec;
  fs::create_directories(root, ec);
  const fs::path ours = root / "tenon", dir = ours / leaf;
  for (const fs::path& path : {ours, dir}) {
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return std::nullopt;
    if (!is_private(path)) return std::nullopt;
  }
  return dir;
}

bool write_atomically(const fs::path& path, std::span<const std::byte> bytes, mode_t mode) {
  std::string temporary = path.string() + ".XXXXXX";
  UniqueFd fd(mkostemp(temporary.data(), O_CLOEXEC));
  if (fd.get() < 0) return false;
  const bool written = write_all(fd.get(), bytes) && fchmod(fd.get(), mode) == 0;
  if (written && rename(temporary.c_str(), path.c_str()) == 0) return true;
  unlink(temporary.c_str());
  return false;
}

LoadableFile store_plugin(std::span<const std::byte> bytes, const std::string& sha256, const fs::path& base) {
  if (const auto dir = private_cache_dir("plugins", base)) {
    const fs::path path = *dir / (sha256 + ".so");
    if (holds(path, bytes) || write_atomically(path, bytes, 0500)) return {path, {}};
  }
  return store_in_memory(bytes);
}

}  // namespace tenon
