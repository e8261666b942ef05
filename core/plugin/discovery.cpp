// Search order and permissions. The rule behind the refusals: nobody but root, this user, and whoever owns a directory
// that this user named may be able to change what is loaded.
#include "plugin/discovery.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string_view>

namespace tenon {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMaxFilesPerDir = 4096;

fs::path builtin_dir() {
  std::error_code ec;
  const fs::path executable = fs::read_symlink("/proc/self/exe", ec);
  return ec ? fs::path() : executable.parent_path().parent_path() / "lib" / "tenon" / "plugins";
}

bool same_dir(const fs::path& a, const fs::path& b) {
  std::error_code ec;
  return !a.empty() && !b.empty() && fs::equivalent(a, b, ec) && !ec;
}

void add_environment(std::vector<PluginDir>& dirs) {
  const char* list = secure_getenv("TENON_PLUGIN_PATH");
  if (!list) return;
  std::string_view rest = list;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(':'), rest.size());
    const fs::path path = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (path.empty()) continue;
    PluginDir dir{.path = path, .named = true};
    if (path.is_relative())
      dir.refusal = "TENON_PLUGIN_PATH holds a relative path, which depends on the working directory";
    dirs.push_back(std::move(dir));
  }
}

// What makes an inode changeable by others; empty when nothing does.
std::string writable_by_others(const struct stat& st) {
  const bool sticky_dir = S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX);
  if ((st.st_mode & S_IWOTH) && !sticky_dir) return fmt::format("world-writable (mode {:04o})", st.st_mode & 07777);
  // A user's private group has the user's own number.
  const bool private_group = st.st_gid == getegid() || st.st_gid == st.st_uid;
  if ((st.st_mode & S_IWGRP) && !private_group && !sticky_dir)
    return fmt::format("group-writable (mode {:04o}) by group {}, not this user's own {}", st.st_mode & 07777,
                       st.st_gid, getegid());
  return {};
}

std::string check_dir(const PluginDir& dir, struct stat& st) {
  if (!dir.refusal.empty()) return dir.refusal;
  if (stat(dir.path.c_str(), &st) != 0) return std::strerror(errno);
  if (!S_ISDIR(st.st_mode)) return "not a directory";
  if (!dir.named && st.st_uid != 0 && st.st_uid != geteuid())
    return fmt::format("owned by user {}, not by root or this user {}", st.st_uid, geteuid());
  const std::string writable = writable_by_others(st);
  return writable.empty() ? writable : "directory is " + writable;
}

std::string check_file(const fs::path& file, uid_t dir_owner) {
  struct stat st{};
  if (stat(file.c_str(), &st) != 0) return std::strerror(errno);
  if (!S_ISREG(st.st_mode)) return "not a regular file";
  if (st.st_uid != 0 && st.st_uid != geteuid() && st.st_uid != dir_owner)
    return fmt::format("owned by user {}, not by root, this user {} or the directory's owner {}", st.st_uid, geteuid(),
                       dir_owner);
  if (const std::string writable = writable_by_others(st); !writable.empty()) return "file is " + writable;
  // A link leads elsewhere: whoever may write there may replace its target.
  std::error_code ec;
  const fs::path real = fs::canonical(file, ec);
  struct stat parent{};
  if (ec || stat(real.parent_path().c_str(), &parent) != 0) return "its real path cannot be followed";
  const std::string writable = writable_by_others(parent);
  return writable.empty() ? writable : fmt::format("its directory {} is {}", real.parent_path().string(), writable);
}

std::vector<fs::path> shared_objects(const fs::path& dir, std::string& refusal) {
  std::vector<fs::path> files;
  std::error_code ec;
  for (fs::directory_iterator it(dir, ec), end; !ec && it != end; it.increment(ec)) {
    const std::string name = it->path().filename().string();
    if (!name.ends_with(".so") || name.starts_with('.')) continue;
    files.push_back(it->path());
    if (files.size() <= kMaxFilesPerDir) continue;
    refusal = fmt::format("more than {} plugins in one directory", kMaxFilesPerDir);
    return {};
  }
  if (ec) refusal = ec.message();
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

const char* trust_name(Trust trust) { return trust == Trust::builtin ? "builtin" : "unknown"; }

std::vector<PluginDir> plugin_dirs(const std::vector<fs::path>& explicit_dirs) {
  std::vector<PluginDir> dirs;
  const fs::path builtin = builtin_dir();
  if (explicit_dirs.empty()) {
    if (!builtin.empty()) dirs.push_back({.path = builtin, .trust = Trust::builtin});
    add_environment(dirs);
    if (const char* home = secure_getenv("HOME"); home && home[0] == '/')
      dirs.push_back({.path = fs::path(home) / ".local/share/tenon/plugins"});
    dirs.push_back({.path = "/usr/lib/tenon/plugins"});
  }
  for (const fs::path& path : explicit_dirs) dirs.push_back({.path = fs::absolute(path), .named = true});
  for (PluginDir& dir : dirs)
    if (dir.refusal.empty() && same_dir(dir.path, builtin)) dir.trust = Trust::builtin;
  return dirs;
}

std::vector<PluginCandidate> find_plugins(std::span<const PluginDir> dirs) {
  std::vector<PluginCandidate> found;
  std::set<std::pair<dev_t, ino_t>> seen;
  for (const PluginDir& dir : dirs) {
    struct stat st{};
    std::string refusal = check_dir(dir, st);
    if (!refusal.empty() && !dir.named && access(dir.path.c_str(), F_OK) != 0) continue;
    if (refusal.empty() && !seen.insert({st.st_dev, st.st_ino}).second) continue;
    std::vector<fs::path> files;
    if (refusal.empty()) files = shared_objects(dir.path, refusal);
    if (!refusal.empty()) found.push_back({dir.path, dir.trust, refusal});
    for (const fs::path& file : files) found.push_back({file, dir.trust, check_file(file, st.st_uid)});
  }
  return found;
}

}  // namespace tenon
