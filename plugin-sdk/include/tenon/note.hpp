// The plugin's ELF note: its metadata as JSON, built at compile time, readable from the file without loading it.
#pragma once

#include <tenon/abi.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace tenon {
inline namespace v0 {

/// The names by which models announce an architecture: `architectures[]` and `model_type` of config.json,
/// `general.architecture` of GGUF. At most eight of each.
struct ArchNames {
  const char* hf[8] = {};
  const char* model_type[8] = {};
  const char* gguf[8] = {};
};

namespace detail {

template <size_t N>
struct Note {  // the layout of an ELF note with owner "Tenon", type 1
  uint32_t name_bytes = 6, desc_bytes = N, type = 1;
  char name[8] = {'T', 'e', 'n', 'o', 'n', 0, 0, 0};
  char desc[(N + 3) / 4 * 4] = {};
};

struct JsonText {  // a bounded compile-time string builder
  char text[8192] = {};
  size_t size = 0;

  constexpr void put(std::string_view s) {
    for (char c : s) text[size++] = c;
  }
  constexpr void number(unsigned n) {
    if (n >= 10) number(n / 10);
    text[size++] = static_cast<char>('0' + n % 10);
  }
  constexpr void list(std::string_view key, const char* const (&names)[8]) {
    put(",\""), put(key), put("\":[");
    bool first = true;
    for (const char* n : names) {
      if (!n) continue;
      put(first ? "\"" : ",\""), put(n), put("\"");
      first = false;
    }
    put("]");
  }
};

template <typename Archs>
constexpr JsonText note_json(std::string_view id, std::string_view version, std::string_view vendor,
                             std::string_view license, const Archs& archs) {
  JsonText j;
  j.put("{\"id\":\""), j.put(id), j.put("\",\"version\":\""), j.put(version);
  j.put("\",\"vendor\":\""), j.put(vendor), j.put("\",\"license\":\""), j.put(license);
  j.put("\",\"abi\":["), j.number(TENON_ABI_MAJOR), j.put(","), j.number(TENON_ABI_MINOR);
  j.put("],\"ifaces\":[\"" TENON_IFACE_META "\",\"" TENON_IFACE_BUILD "\",\"" TENON_IFACE_ARCH "\"],\"opset\":");
  j.number(TENON_OPSET), j.put(",\"archs\":[");
  bool first = true;
  for (const auto& a : archs) {
    j.put(first ? "{\"name\":\"" : ",{\"name\":\""), j.put(a.names.hf[0] ? std::string_view(a.names.hf[0]) : id),
        j.put("\"");
    j.list("hf", a.names.hf), j.list("model_type", a.names.model_type), j.list("gguf", a.names.gguf);
    j.put("}");
    first = false;
  }
  j.put("]}");
  return j;
}

template <size_t N>
constexpr Note<N> make_note(const JsonText& json) {
  Note<N> note;
  for (size_t i = 0; i < N; ++i) note.desc[i] = json.text[i];
  return note;
}

}  // namespace detail
}  // namespace v0
}  // namespace tenon
