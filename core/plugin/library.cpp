// From a row to a handle, once per content.
#include "plugin/library.hpp"

#include <map>
#include <memory>
#include <mutex>

#include "base/error.hpp"
#include "base/mapped_file.hpp"

namespace tenon {
namespace {

struct Handles {
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<LoadedPlugin>> by_sha256;
};

// Never destroyed: plugins' code may run until the very end.
Handles& handles() {
  static Handles& all = *new Handles;
  return all;
}

const LoadedPlugin& load_locked(Handles& all, PluginRow& row, const PluginLoadOptions& options) {
  const std::string place = row.file.filename().string();
  const std::string content = read_file(row.file, kMaxPluginBytes);
  const auto bytes = std::as_bytes(std::span(content));
  PluginNote note = admit_plugin(bytes, place, options.host);
  if (note != row.note) fail(ErrorCode::bad_plugin, "[{}] the file changed after it was scanned", place);
  row.sha256 = sha256_hex(bytes);
  if (const auto known = all.by_sha256.find(row.sha256); known != all.by_sha256.end()) return *known->second;

  auto loaded = std::make_unique<LoadedPlugin>();
  loaded->sha256 = row.sha256;
  loaded->file = row.file;
  loaded->note = std::move(note);
  loaded->stored = store_plugin(bytes, row.sha256, options.cache);
  ProbeOptions probe = options.probe;
  if (probe.cache.empty()) probe.cache = options.cache;
  const ProbeVerdict verdict = probe_plugin(loaded->stored, row.sha256, place, probe);
  if (!verdict.ok) fail(ErrorCode::bad_plugin, "{}", verdict.reason);
  loaded->entry = open_plugin_entry(loaded->stored.path, place);
  return *all.by_sha256.emplace(row.sha256, std::move(loaded)).first->second;
}

}  // namespace

const LoadedPlugin& load_plugin(PluginRow& row, const PluginLoadOptions& options) {
  if (row.status != PluginStatus::ok) throw Error(ErrorCode::bad_plugin, row.reason);
  Handles& all = handles();
  const std::lock_guard lock(all.mutex);
  try {
    return load_locked(all, row, options);
  } catch (const Error& e) {
    if (e.code() == ErrorCode::bad_plugin) {
      row.status = PluginStatus::failed;
      row.reason = e.what();
    }
    throw;
  }
}

size_t loaded_plugin_count() {
  Handles& all = handles();
  const std::lock_guard lock(all.mutex);
  return all.by_sha256.size();
}

}  // namespace tenon
