// Where plugins are looked for, and which files and directories are refused because others could write to them.
// Never the working directory, never a model's directory. Nothing is opened here; names and permissions only.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace tenon {

enum class Trust { unknown, builtin };
const char* trust_name(Trust trust);

struct PluginDir {
  std::filesystem::path path;
  Trust trust = Trust::unknown;
  bool named = false;     // the user named it: its absence is reported, a foreign owner is accepted
  std::string refusal{};  // set when it is refused for how it was named
};

/// The directories to search, in order: beside the running executable, TENON_PLUGIN_PATH, the user's own, the system's.
/// A non-empty `explicit_dirs` replaces them all.
std::vector<PluginDir> plugin_dirs(const std::vector<std::filesystem::path>& explicit_dirs = {});

struct PluginCandidate {
  std::filesystem::path file;  // or a refused directory
  Trust trust = Trust::unknown;
  std::string refusal;  // empty: admitted
};

/// The *.so files of these directories in order, sorted by name within each, hidden files left out.
std::vector<PluginCandidate> find_plugins(std::span<const PluginDir> dirs);

}  // namespace tenon
