// A grammar as text: parsed, compiled, walked.
#include "base/error.hpp"
#include "grammar_walk.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tenon::grammar;
  try {
    const auto compiled = Compiled::compile(from_ebnf({reinterpret_cast<const char*>(data), size}));
    walk_grammar(*compiled, data, size);
  } catch (const tenon::Error&) {
  }
  return 0;
}
