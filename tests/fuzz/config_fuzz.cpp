// Any bytes as a config.json: an error, or a value that survives lookups and reads back from its own JSON.
#include <cstdint>
#include <string_view>

#include "base/error.hpp"
#include "base/value.hpp"

namespace {

tenon::Value read(std::string_view text) { return tenon::parse_json(text, "fuzz.json"); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tenon::Value value;
  try {
    value = read({reinterpret_cast<const char*>(data), size});
  } catch (const tenon::Error&) {
    return 0;
  }
  for (const char* path :
       {"", ".", "hidden_size", "rope_scaling.factor", "a.b", "text_config.rope_parameters.rope_theta"})
    value.find_path(path);
  // An Error here ends the run: what was read must be writable and readable again.
  const std::string text = to_json(value);
  if (to_json(read(text)) != text) __builtin_trap();
  if (to_json(read(to_json_pretty(value))) != text) __builtin_trap();
  if (to_json(read(to_json(value, true))) != text) __builtin_trap();
  return 0;
}
