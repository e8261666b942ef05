// Any bytes as a tokenizer.model: an error, or a tokenizer whose ids are its own and decode alike in a stream.
#include <cstdint>
#include <string_view>

#include "base/error.hpp"
#include "round_trip.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto t =
        tenon::tokenizer_from_sentencepiece({reinterpret_cast<const char*>(data), size}, "fuzz.model", nullptr);
    for (const char* text : {"", "Hello  world", "\xe2\x96\x81 \xc3\xa9\xff<s>"}) tenon::fuzz::round_trip(t, text);
    const int32_t last[] = {t->size() - 1};
    t->decode(last);
  } catch (const tenon::Error&) {
  }
  return 0;
}
