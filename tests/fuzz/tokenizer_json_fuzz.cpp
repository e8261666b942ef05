// Any bytes as a tokenizer.json: an error, or a tokenizer whose ids are its own.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.hpp"
#include "text/tokenizer_build.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const tenon::Value json = tenon::parse_json({reinterpret_cast<const char*>(data), size}, "fuzz.json");
    const auto t = tenon::tokenizer_from_json(json, nullptr);
    for (const char* text : {"", "Hello  world 12", "\xe2\x96\x81 \xc3\xa9\xff<s>"})
      for (const int32_t id : t->encode(text, {true, true}))
        if (id < 0 || id >= t->size()) std::abort();
  } catch (const tenon::Error&) {
  }
  return 0;
}
