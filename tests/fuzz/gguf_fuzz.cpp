// Any bytes as a GGUF file: an error, or contents whose tensors lie inside the bytes and do not overlap.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "base/error.hpp"
#include "checkpoint/parse.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const tenon::GgufContents contents = tenon::parse_gguf(std::as_bytes(std::span(data, size)), "fuzz.gguf");
    for (const tenon::TensorEntry& t : contents.tensors)
      if (t.bytes > size || t.offset > size - t.bytes) std::abort();
    tenon::to_json(contents.metadata);
  } catch (const tenon::Error&) {
  }
  return 0;
}
