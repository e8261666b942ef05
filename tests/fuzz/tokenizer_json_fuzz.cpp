// Any bytes as a tokenizer.json: an error, or a tokenizer whose ids are its own and decode alike in a stream.
#include <cstdint>
#include <string_view>

#include "base/error.hpp"
#include "round_trip.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const tenon::Value json = tenon::parse_json({reinterpret_cast<const char*>(data), size}, "fuzz.json");
    const auto t = tenon::tokenizer_from_json(json, nullptr);
    for (const char* text : {"", "Hello  world 12", "\xe2\x96\x81 \xc3\xa9\xff<s>"}) tenon::fuzz::round_trip(t, text);
  } catch (const tenon::Error&) {
  }
  return 0;
}
