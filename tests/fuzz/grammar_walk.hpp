// What grammar targets do with a grammar that compiles: walk it, checking that whatever is alive can be completed.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include "text/grammar/matcher.hpp"

inline std::string walk_grammar(tenon::grammar::Compiled& grammar, const uint8_t* choices, size_t n) {
  constexpr int kSteps = 300;
  std::string text;
  tenon::grammar::State state = grammar.start();
  if (state == tenon::grammar::kNoState) return text;
  for (int step = 0; step < kSteps; ++step) {
    std::vector<uint8_t> bytes;
    for (int b = 0; b < 256; ++b)
      if (grammar.next(state, static_cast<uint8_t>(b)) != tenon::grammar::kNoState)
        bytes.push_back(static_cast<uint8_t>(b));
    if (bytes.empty() && !grammar.accepts(state)) std::abort();  // a dead end
    const size_t choice = n > 0 ? choices[static_cast<size_t>(step) % n] + static_cast<size_t>(step) : 0;
    if (bytes.empty() || (grammar.accepts(state) && choice % 4 == 0)) return text;
    text += static_cast<char>(bytes[choice % bytes.size()]);
    state = grammar.next(state, bytes[choice % bytes.size()]);
  }
  return {};
}
