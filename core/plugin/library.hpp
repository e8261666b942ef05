// Loaded plugins. A library that was loaded stays loaded until the process ends: nothing can know who still points
// into it, and a newer file gets another hash and another handle.
#pragma once

#include <string>

#include "plugin/cache.hpp"
#include "plugin/entry.hpp"
#include "plugin/probe.hpp"
#include "plugin/registry.hpp"

namespace tenon {

struct LoadedPlugin {
  std::string sha256;
  std::filesystem::path file;  // where it was found
  PluginNote note;
  LoadableFile stored;  // the copy that is mapped
  PluginEntry entry;
};

struct PluginLoadOptions {
  std::filesystem::path cache;  // as `base` of private_cache_dir
  ProbeOptions probe;
  HostFacts host;
};

/// Loads a row's file: reads it once, checks it again, copies it by content, probes the copy in a child, opens the
/// copy. Throws Error{bad_plugin} and marks the row failed when the plugin is at fault, Error{io} when the machine is.
/// Thread-safe for different rows; the result lives as long as the process.
const LoadedPlugin& load_plugin(PluginRow& row, const PluginLoadOptions& options = {});

/// How many different libraries this process has loaded.
size_t loaded_plugin_count();

}  // namespace tenon
