// A schema: compiled and walked; whole texts must be JSON.
#include "base/error.hpp"
#include "base/value.hpp"
#include "grammar_walk.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tenon;
  std::string text;
  try {
    const Value schema = parse_json({reinterpret_cast<const char*>(data), size}, "schema");
    text = walk_grammar(*grammar::Compiled::compile(grammar::from_json_schema(schema)), data, size);
  } catch (const Error&) {
    return 0;
  }
  try {
    if (!text.empty()) parse_json(text, "walk");
  } catch (const Error& e) {
    const std::string_view what = e.what();  // keys of no name may come twice; numbers may be too large for doubles
    const bool known =
        what.find("twice") != what.npos || what.find("duplicate") != what.npos || what.find("deep") != what.npos;
    if (!known) std::abort();
  }
  return 0;
}
