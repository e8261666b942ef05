// A template, rendered over a fixed conversation: no crash, bounded work, and no user's text among what is trusted.
#include <cstdlib>
#include <ctime>

#include "base/error.hpp"
#include "base/value.hpp"
#include "text/jinja/template.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tenon;
  static const Value context = parse_json(
      R"({"messages": [{"role": "user", "content": " \u0001x\u0001 "}, {"role": "assistant", "content": null,
          "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1, 2.5, true]}}}]}],
          "tools": [{"name": "f"}], "n": 7, "add_generation_prompt": true, "bos_token": "<s>"})",
      "context");
  std::tm now{};
  now.tm_year = 126;
  now.tm_mday = 23;
  try {
    const MarkedText text = jinja::Template({reinterpret_cast<const char*>(data), size}).render_marked(context, now);
    size_t before = 0;
    for (const TextSpan& s : text.trusted) {
      if (s.begin < before || s.end <= s.begin || s.end > text.text.size()) std::abort();
      before = s.end;
    }
  } catch (const Error&) {
  }
  return 0;
}
