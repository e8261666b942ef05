// A pattern, and words of it: the compiled language must accept what a walk through it gives.
#include "base/error.hpp"
#include "grammar_walk.hpp"
#include "text/grammar/regex.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tenon::grammar;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    for (const Dfa& dfa : {regex(text), regex_search(text)})
      for (const std::string& word : some_words(dfa, 4))
        if (!accepts(dfa, word)) std::abort();
  } catch (const tenon::Error&) {
  }
  return 0;
}
