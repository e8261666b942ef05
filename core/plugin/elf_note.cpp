// The plugin note's JSON, field by field, and the checks of a plugin file that need no code to run.
#include "plugin/elf_note.hpp"

#include <fmt/ranges.h>
#include <tenon/abi.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/error.hpp"
#include "base/value.hpp"
#include "plugin/elf_image.hpp"
#include "plugin/sanitized.hpp"

namespace tenon {
namespace {

constexpr size_t kMaxText = 128, kMaxList = 256, kMaxExports = 64;

class NoteReader {
 public:
  NoteReader(const Value& object, std::string_view place) : object_(object), place_(place) {
    if (!object.is_object()) fail(ErrorCode::bad_plugin, "[{}] the note is no JSON object", place);
  }

  std::string text(std::string_view key) const { return checked(need(key), key); }

  std::string optional_text(std::string_view key) const {
    const Value* value = object_.find(key);
    return value ? checked(*value, key) : std::string();
  }

  std::vector<std::string> list(std::string_view key) const {
    std::vector<std::string> out;
    const Value* value = object_.find(key);
    if (!value) return out;
    for (const Value& item : array(*value, key)) out.push_back(checked(item, key));
    return out;
  }

  uint32_t number(const Value& value, std::string_view key) const {
    if (!value.is_int() || value.as_int() < 0 || value.as_int() > std::numeric_limits<int32_t>::max())
      fail(ErrorCode::bad_plugin, "[{}] note: \"{}\" is no number from 0 to 2^31-1", place_, key);
    return static_cast<uint32_t>(value.as_int());
  }

  const Value::Array& array(const Value& value, std::string_view key) const {
    if (!value.is_array())
      fail(ErrorCode::bad_plugin, "[{}] note: \"{}\" is {}, not an array", place_, key, Value::kind_name(value.kind()));
    if (value.as_array().size() > kMaxList)
      fail(ErrorCode::bad_plugin, "[{}] note: \"{}\" has {} entries; the limit is {}", place_, key,
           value.as_array().size(), kMaxList);
    return value.as_array();
  }

  const Value& need(std::string_view key) const {
    const Value* value = object_.find(key);
    if (!value) fail(ErrorCode::bad_plugin, "[{}] note: \"{}\" is missing", place_, key);
    return *value;
  }

 private:
  // Names end up on terminals and in comparisons: no control characters, and never without end.
  std::string checked(const Value& value, std::string_view key) const {
    if (!value.is_string())
      fail(ErrorCode::bad_plugin, "[{}] note: \"{}\" holds {}, not a string", place_, key,
           Value::kind_name(value.kind()));
    const std::string& text = value.as_string();
    if (text.empty() || text.size() > kMaxText)
      fail(ErrorCode::bad_plugin, "[{}] note: \"{}\" has {} bytes; expected 1 to {}", place_, key, text.size(),
           kMaxText);
    for (unsigned char c : text)
      if (c < 0x20 || c == 0x7f)
        fail(ErrorCode::bad_plugin, "[{}] note: \"{}\" holds the control character {:#x}", place_, key, unsigned{c});
    return text;
  }

  const Value& object_;
  std::string_view place_;
};

void check_id(const std::string& id, std::string_view place) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
  };
  if (id.front() == '.' || !std::all_of(id.begin(), id.end(), allowed))
    fail(ErrorCode::bad_plugin, "[{}] note: \"id\" is \"{}\"; ids are made of a-z 0-9 _ - .", place, id);
}

std::vector<PluginArch> read_archs(const NoteReader& note, std::string_view place) {
  std::vector<PluginArch> archs;
  for (const Value& item : note.array(note.need("archs"), "archs")) {
    const NoteReader arch(item, place);
    archs.push_back({arch.text("name"), arch.list("hf"), arch.list("model_type"), arch.list("gguf")});
  }
  if (archs.empty()) fail(ErrorCode::bad_plugin, "[{}] note: \"archs\" is empty", place);
  return archs;
}

PluginNote read_note(const Value& json, std::string_view place) {
  const NoteReader reader(json, place);
  PluginNote note;
  note.id = reader.text("id");
  check_id(note.id, place);
  note.version = reader.text("version");
  note.vendor = reader.optional_text("vendor");
  note.license = reader.optional_text("license");
  const Value::Array& abi = reader.array(reader.need("abi"), "abi");
  if (abi.size() != 2)
    fail(ErrorCode::bad_plugin, "[{}] note: \"abi\" has {} numbers, not major and minor", place, abi.size());
  note.abi_major = reader.number(abi[0], "abi");
  note.abi_minor = reader.number(abi[1], "abi");
  note.opset = reader.number(reader.need("opset"), "opset");
  note.ifaces = reader.list("ifaces");
  note.archs = read_archs(reader, place);
  return note;
}

bool allowed_library(std::string_view name) {
  constexpr std::array<std::string_view, 8> kAllowed = {"libc.so.6",       "libm.so.6",  "ld-linux-x86-64.so.2",
                                                        "libpthread.so.0", "libdl.so.2", "libstdc++.so.6",
                                                        "libgcc_s.so.1",   "librt.so.1"};
  if (std::find(kAllowed.begin(), kAllowed.end(), name) != kAllowed.end()) return true;
  if (!kSanitized) return false;
  for (std::string_view runtime : {"libasan.so.", "libubsan.so.", "libtsan.so.", "liblsan.so.", "libclang_rt."})
    if (name.starts_with(runtime)) return true;
  return false;
}

}  // namespace

HostFacts::HostFacts()
    : abi_major(TENON_ABI_MAJOR),
      abi_minor(TENON_ABI_MINOR),
      opset(TENON_OPSET),
      ifaces{TENON_IFACE_META, TENON_IFACE_BUILD, TENON_IFACE_ARCH} {}

PluginNote parse_plugin_note(std::span<const std::byte> bytes, std::string_view place) {
  const auto desc = ElfImage(bytes, place).note("Tenon", 1);
  if (desc.size() > kMaxNoteBytes)
    fail(ErrorCode::bad_plugin, "[{}] the note has {} bytes; the limit is {}", place, desc.size(), kMaxNoteBytes);
  const std::string_view text(reinterpret_cast<const char*>(desc.data()), desc.size());
  Value json;
  try {
    json = parse_json(text, fmt::format("{}: note", place),
                      {.max_bytes = kMaxNoteBytes, .max_depth = 8, .max_values = 16384});
  } catch (const Error& e) {
    throw Error(ErrorCode::bad_plugin, e.what());
  }
  return read_note(json, place);
}

void check_host_fit(const PluginNote& note, std::string_view place, const HostFacts& host) {
  if (note.abi_major != host.abi_major || note.abi_minor > host.abi_minor)
    fail(ErrorCode::bad_plugin, "[{}] needs plugin ABI {}.{}; this host has {}.{}", place, note.abi_major,
         note.abi_minor, host.abi_major, host.abi_minor);
  for (const std::string& id : note.ifaces)
    if (std::find(host.ifaces.begin(), host.ifaces.end(), id) == host.ifaces.end())
      fail(ErrorCode::bad_plugin, "[{}] needs interface {}; this host has {}", place, id, fmt::join(host.ifaces, ", "));
  if (note.opset > host.opset)
    fail(ErrorCode::bad_plugin, "[{}] needs op vocabulary {}; this host has {}", place, note.opset, host.opset);
}

void check_plugin_image(std::span<const std::byte> bytes, std::string_view place) {
  const ElfImage image(bytes, place);
  for (std::string_view name : image.needed())
    if (!allowed_library(name))
      fail(ErrorCode::bad_plugin, "[{}] needs {}; plugins may need the C and C++ runtimes only", place, name);
  bool entry = false;
  for (const ElfSymbol& symbol : image.exports(kMaxExports)) {
    if (symbol.name == "tenon_plugin") {
      if (symbol.type != STT_OBJECT)
        fail(ErrorCode::bad_plugin, "[{}] tenon_plugin has symbol type {}, not {} (an object)", place, symbol.type,
             STT_OBJECT);
      entry = true;
    } else if (!(kSanitized && symbol.name.starts_with("__"))) {
      fail(ErrorCode::bad_plugin, "[{}] exports {}; only tenon_plugin is allowed", place, symbol.name);
    }
  }
  if (!entry) fail(ErrorCode::bad_plugin, "[{}] does not export tenon_plugin", place);
}

}  // namespace tenon
