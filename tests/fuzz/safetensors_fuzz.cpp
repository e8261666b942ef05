// Any bytes as a safetensors file: an error, or tensors that cover the data exactly.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "base/error.hpp"
#include "checkpoint/parse.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    uint64_t covered = 0;
    for (const auto& t : tenon::parse_safetensors(std::as_bytes(std::span(data, size)), "fuzz.safetensors")) {
      if (t.bytes > size || t.offset > size - t.bytes) std::abort();
      covered += t.bytes;
    }
    if (covered > size) std::abort();
  } catch (const tenon::Error&) {
  }
  return 0;
}
