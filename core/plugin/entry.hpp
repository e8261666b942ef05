// Opening a plugin: dlopen, its one symbol, and the architecture interface behind it. This runs the plugin's code, so
// it happens first in a child process (plugin/probe.hpp).
#pragma once

#include <tenon/abi.h>

#include <filesystem>
#include <memory>
#include <string_view>

namespace tenon {

struct PluginEntry {
  std::shared_ptr<void> library;  // unloads when the last copy dies
  const tn_plugin* plugin = nullptr;
  const tn_arch_v0* arch = nullptr;
};

/// Loads `file` and asks it for "tenon.arch/0"; Error{bad_plugin} naming `place` otherwise.
PluginEntry open_plugin_entry(const std::filesystem::path& file, std::string_view place);

}  // namespace tenon
