// Runs a grammar over bytes and over a vocabulary. States are made when they are first reached and kept: a compiled
// grammar gets faster with use, and serves any number of sequences and threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "text/grammar/grammar.hpp"

namespace tenon::grammar {

/// A place within a grammar; belongs to the Compiled that gave it.
using State = uint32_t;
inline constexpr State kNoState = UINT32_MAX;

class Compiled {
 public:
  /// Error{unsupported} naming left recursion, Error{usage} when nothing at all matches.
  static std::shared_ptr<Compiled> compile(Grammar grammar);
  virtual ~Compiled() = default;

  virtual State start() = 0;
  /// kNoState when `byte` cannot come here. Whatever is alive can be completed. Error{capacity} when the grammar made
  /// more states than it may.
  virtual State next(State state, uint8_t byte) = 0;
  /// True when the output may end here.
  virtual bool accepts(State state) = 0;
};

/// -1: accepted as a whole; otherwise the first byte that cannot come, or the length of a text that lacks its end.
int64_t first_rejected(Compiled& grammar, std::string_view text);

}  // namespace tenon::grammar
