// Grammars as text: GBNF and the EBNF that is like it, read to trees.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/grammar/char_set.hpp"

namespace tenon::grammar {

struct EbnfTree {
  enum class Kind : uint8_t { set, concat, either, repeat, rule };
  static constexpr uint32_t kNoEnd = UINT32_MAX;
  Kind kind = Kind::concat;
  CharSet set = {};
  std::vector<EbnfTree> parts = {};
  uint32_t min = 0, max = 0;
  uint32_t rule = 0;
};

struct EbnfRules {
  std::vector<std::string> names;
  std::vector<EbnfTree> trees;  // by rule
  uint32_t root = 0;
};

/// Errors as grammar::from_ebnf.
EbnfRules parse_ebnf(std::string_view text);

}  // namespace tenon::grammar
