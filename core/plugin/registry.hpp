// The table of plugins: one row per file found, with its note or the reason for its refusal. A scan reads files and
// runs none of them; loading is plugin/library.hpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.hpp"
#include "plugin/discovery.hpp"
#include "plugin/elf_note.hpp"

namespace tenon {

enum class PluginStatus {
  ok,       // may be loaded
  refused,  // its place, its file or what it asks for was refused before any of its code ran
  failed,   // its probe or its loading failed
};

struct PluginRow {
  std::filesystem::path file;
  Trust trust = Trust::unknown;
  PluginStatus status = PluginStatus::ok;
  std::string reason{};  // why not ok
  std::optional<PluginNote> note{};
  uint64_t bytes = 0;
  mutable std::string sha256{};  // computed by row_sha256
};

class PluginRegistry {
 public:
  /// Reads every plugin of these directories. Files with the same SHA-256 count once, as the first of them.
  static PluginRegistry scan(std::span<const PluginDir> dirs, const HostFacts& host = {});

  std::vector<PluginRow>& rows() { return rows_; }
  const std::vector<PluginRow>& rows() const { return rows_; }

 private:
  bool is_duplicate(PluginRow& row);
  std::vector<PluginRow> rows_;
};

/// One file's row, whatever directory it lies in; never throws for what the file holds.
PluginRow read_plugin_row(const std::filesystem::path& file, Trust trust, const HostFacts& host = {});

/// Throws Error{bad_plugin} unless these bytes are a plugin that this host can serve; returns their note.
PluginNote admit_plugin(std::span<const std::byte> bytes, std::string_view place, const HostFacts& host = {});

/// The file's SHA-256, read at most once; Error{not_found | io | capacity} when it cannot be read.
const std::string& row_sha256(const PluginRow& row);

/// A row of `plugin list --json`: {id, file, version, architectures, abi, trust, status, reason}.
Value row_to_value(const PluginRow& row);
/// As row_to_value with vendor, license, ifaces, opset, archs, bytes and sha256.
Value row_to_full_value(const PluginRow& row);

}  // namespace tenon
