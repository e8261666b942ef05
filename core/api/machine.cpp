#include "api/machine.hpp"

#include <sched.h>
#include <unistd.h>

#include <fstream>

#include "backend/backend.hpp"
#include "engine/model.hpp"
#include "plugin/registry.hpp"

namespace tenon::api {
namespace {

/// What follows ": " on the first line that begins with `key`.
std::string field(const char* path, const std::string& key) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);)
    if (const size_t colon = line.find(": "); line.starts_with(key) && colon != std::string::npos)
      return line.substr(colon + 2);
  return {};
}

std::string loaded_file(const std::string& name) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    if (const size_t slash = line.find('/'); slash != std::string::npos && line.find(name, slash) != std::string::npos)
      return line.substr(slash);
  return {};
}

PluginPlace place_of(const PluginDir& dir) {
  PluginPlace place{.path = dir.path, .trust = trust_name(dir.trust), .status = "ok"};
  std::error_code error;
  if (dir.refusal.empty() && !std::filesystem::exists(dir.path, error)) {
    place.status = "absent";
    return place;
  }
  const PluginRegistry found = PluginRegistry::scan({&dir, 1});
  for (const PluginRow& row : found.rows()) {
    if (row.file == dir.path)
      place.status = row.reason;
    else
      ++(row.status == PluginStatus::ok ? place.usable : place.refused);
  }
  return place;
}

}  // namespace

Machine machine() {
  Machine m;
  m.processor = field("/proc/cpuinfo", "model name");
  m.isa = make_backend("cpu", 1)->isa();
  cpu_set_t set;
  m.processors = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  m.memory = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  m.memory_available = available_memory();
  m.onednn = TENON_DNNL_VERSION;
  m.onednn_file = loaded_file("/libdnnl.so");
  return m;
}

std::vector<PluginPlace> plugin_places(const std::vector<std::filesystem::path>& explicit_dirs) {
  std::vector<PluginPlace> places;
  for (const PluginDir& dir : plugin_dirs(explicit_dirs)) places.push_back(place_of(dir));
  return places;
}

}  // namespace tenon::api
