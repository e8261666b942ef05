// Test plugins copied into fresh directories, and a cache of the test's own.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <span>
#include <string>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "plugin/library.hpp"

namespace tenon::test {
namespace fs = std::filesystem;

/// A directory that goes away with this object.
class TempDir {
 public:
  TempDir() {
    std::string path = (fs::temp_directory_path() / "tenon-plugin-XXXXXX").string();
    REQUIRE(mkdtemp(path.data()) != nullptr);
    path_ = path;
  }
  ~TempDir() {
    std::error_code ec;
    fs::remove_all(path_, ec);
  }
  TempDir(const TempDir&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

inline fs::path built(const std::string& name) { return fs::path(TEST_PLUGIN_DIR) / (name + ".so"); }

/// Copies a test plugin into `dir` with the mode of an installed file.
inline fs::path install(const std::string& name, const fs::path& dir, std::string as = {}) {
  const fs::path to = dir / ((as.empty() ? name : as) + ".so");
  fs::copy_file(built(name), to, fs::copy_options::overwrite_existing);
  fs::permissions(to, fs::perms(0644));
  return to;
}

inline PluginRegistry scan(const fs::path& dir) { return PluginRegistry::scan(plugin_dirs({dir})); }

/// The row that a scan gives for this plugin alone.
inline PluginRow row_of(const std::string& name, const fs::path& dir) {
  return read_plugin_row(install(name, dir), Trust::unknown);
}

/// What an Error thrown by `fn` says; empty when nothing is thrown.
template <typename Fn>
std::string error_of(Fn&& fn) {
  try {
    fn();
  } catch (const Error& e) {
    return e.what();
  }
  return {};
}

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace tenon::test
