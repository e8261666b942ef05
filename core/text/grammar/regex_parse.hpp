// Regular expressions as trees.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/grammar/char_set.hpp"

namespace tenon::grammar {

struct Regex {
  enum class Kind {
    set,      // one character of `set`
    concat,   // all of `parts`
    either,   // one of `parts`
    repeat,   // `parts[0]`, `min` to `max` times
    begin,    // ^
    end,      // $
    word,     // \b
    no_word,  // \B
    ahead,    // (?=parts[0])
    no_ahead  // (?!parts[0])
  };
  static constexpr uint32_t kNoEnd = UINT32_MAX;

  Kind kind = Kind::concat;
  CharSet set = {};
  std::vector<Regex> parts = {};
  uint32_t min = 0, max = 0;
};

/// Errors as grammar::regex.
Regex parse_regex(std::string_view pattern);

}  // namespace tenon::grammar
