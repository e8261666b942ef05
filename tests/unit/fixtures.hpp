// Where tests find data. Shared fixtures may be absent: a test that needs them says so and returns.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

namespace tenon::test {

/// A path below the shared fixtures, or nothing (with a printed reason) when they are not there.
inline std::optional<std::filesystem::path> shared(const std::string& relative) {
  const char* env = std::getenv("TENON_SHARED");
  const std::string root = env ? env : TENON_SHARED;
  std::filesystem::path path = std::filesystem::path(root) / relative;
  if (!root.empty() && std::filesystem::exists(path)) return path;
  MESSAGE("skipped: shared fixture ", relative, " is not here (TENON_SHARED='", root, "')");
  return std::nullopt;
}

inline std::filesystem::path source_dir() { return TENON_SOURCE_DIR; }

}  // namespace tenon::test
