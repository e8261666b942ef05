// What Tenon finds on this machine: processor, memory, plugins' directories, libraries.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace tenon::api {

struct Machine {
  std::string processor, isa;  // /proc/cpuinfo's name; the instruction set that the CPU backend chose
  int processors = 0;          // that this process may use
  uint64_t memory = 0, memory_available = 0;
  std::string onednn, onednn_file;  // version and loaded file; empty in a build without it
};
Machine machine();

struct PluginPlace {
  std::filesystem::path path;
  std::string trust, status;  // status: "ok", "absent", or why the directory is refused
  int usable = 0, refused = 0;
};
/// The directories that plugins are looked for in, in order; a non-empty `explicit_dirs` replaces the default ones.
std::vector<PluginPlace> plugin_places(const std::vector<std::filesystem::path>& explicit_dirs);

}  // namespace tenon::api
