// What can be said of a grammar's nodes before anything is read.
#pragma once

#include <cstdint>
#include <vector>

#include "text/grammar/grammar.hpp"

namespace tenon::grammar {

struct Analysis {
  std::vector<uint8_t> nullable;    // by node: matches the empty text
  std::vector<uint8_t> productive;  // by node: something finite matches
};

/// Error{internal} for a node id that does not exist, Error{unsupported} for left recursion.
Analysis analyse(const Grammar& grammar);

}  // namespace tenon::grammar
