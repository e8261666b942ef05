// Any bytes as a plugin file, before anything of it runs: its note, its image, its fit to this host.
#include <cstdint>
#include <span>

#include "base/error.hpp"
#include "plugin/elf_note.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    check_host_fit(tenon::parse_plugin_note(bytes, "fuzz.so"), "fuzz.so");
  } catch (const tenon::Error&) {
  }
  try {
    tenon::check_plugin_image(bytes, "fuzz.so");
  } catch (const tenon::Error&) {
  }
  return 0;
}
