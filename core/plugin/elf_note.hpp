// What a plugin says about itself, read without running it: the ELF note .note.tenon.plugin (owner "Tenon", type 1),
// a JSON object. And what its file must not do: need foreign libraries, export more than `tenon_plugin`, ask for an
// interface, an op vocabulary or an ABI that this host lacks. The rules are in tenon/abi.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

/// One architecture of a plugin, with the names that models carry: config.json's architectures[] and model_type, and
/// GGUF's general.architecture.
struct PluginArch {
  std::string name;
  std::vector<std::string> hf, model_type, gguf;
  bool operator==(const PluginArch&) const = default;
};

struct PluginNote {
  std::string id, version, vendor, license;
  uint32_t abi_major = 0, abi_minor = 0, opset = 0;
  std::vector<std::string> ifaces;
  std::vector<PluginArch> archs;
  bool operator==(const PluginNote&) const = default;
};

/// What a host offers; plugins that ask for more are refused. The defaults are this host's.
struct HostFacts {
  uint32_t abi_major, abi_minor, opset;
  std::vector<std::string> ifaces;
  HostFacts();
};

constexpr size_t kMaxPluginBytes = size_t{64} << 20;
constexpr size_t kMaxNoteBytes = size_t{64} << 10;

/// Reads the note out of the bytes of a shared library; Error{bad_plugin} naming `place` when it is none, or hostile.
PluginNote parse_plugin_note(std::span<const std::byte> bytes, std::string_view place);

/// Refuses, with Error{bad_plugin} naming both sides, a plugin that this host cannot serve.
void check_host_fit(const PluginNote& note, std::string_view place, const HostFacts& host = {});

/// Refuses a file that needs libraries outside the allow-list, or does not export exactly the object `tenon_plugin`.
void check_plugin_image(std::span<const std::byte> bytes, std::string_view place);

}  // namespace tenon
