// Regular expressions without back-references, as ECMA-262 (u flag) and the common dialects of constrained decoding
// spell them, compiled to automata over UTF-8.
#pragma once

#include <string_view>

#include "text/grammar/dfa.hpp"

namespace tenon::grammar {

/// The texts that match as a whole. Error{usage, "[regex] ... at byte N"} for a broken pattern, Error{unsupported}
/// naming a construct that is no regular language here (back-references, look-around, \b), Error{capacity} past limits.
Dfa regex(std::string_view pattern);
struct Regex;
/// The same for a tree of regex_parse.hpp.
Dfa regex(const Regex& tree);
/// The texts that contain a match somewhere (JSON Schema's `pattern`); ^ and $ anchor to the ends of the text.
Dfa regex_search(std::string_view pattern);

}  // namespace tenon::grammar
