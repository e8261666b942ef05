// JSON Schema's `format` as automata over the string's text.
#pragma once

#include <optional>
#include <string_view>

#include "text/grammar/dfa.hpp"

namespace tenon::grammar {

/// Nothing for a format that is not known here.
std::optional<Dfa> format(std::string_view name);

}  // namespace tenon::grammar
