// A plugin's first load happens in a child process, so that a constructor which crashes, loops, exits or eats memory
// takes the child down and not the host. The verdict is remembered per content and host version.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "plugin/cache.hpp"

namespace tenon {

struct ProbeOptions {
  /// A program whose main calls probe_main. Empty: this program when its own main did, else a plain fork.
  std::filesystem::path helper{};
  std::chrono::milliseconds timeout{10'000};
  uint64_t memory = uint64_t{2} << 30;  // bytes, mapped or resident, that loading may take
  std::filesystem::path cache{};        // as `base` of private_cache_dir
  bool use_cache = true;
};

struct ProbeVerdict {
  bool ok = false;
  bool cached = false;      // read from an earlier probe
  bool conclusive = false;  // it says something about the plugin rather than about this machine's state
  std::string reason{};     // why not ok, "[place] ..."
};

/// Loads a stored plugin once in a child process and reports how that went. Throws nothing for what the plugin does.
ProbeVerdict probe_plugin(const LoadableFile& file, const std::string& sha256, std::string_view place,
                          const ProbeOptions& options = {});

/// To be called first in main. Negative: this is no probe, go on; otherwise the exit status to return at once.
int probe_main(int argc, char** argv);

}  // namespace tenon
