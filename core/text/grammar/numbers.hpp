// JSON numbers under constraints, as automata over their spelling.
#pragma once

#include <optional>
#include <string>

#include "text/grammar/dfa.hpp"

namespace tenon::grammar {

/// Bounds and divisors are exact decimals as JSON spells them ("-12.5", "1e3").
struct NumberRange {
  std::optional<std::string> minimum, maximum;
  bool exclusive_minimum = false, exclusive_maximum = false;
  std::optional<std::string> multiple_of;
  bool integer = false;  // whole numbers, "1.0" among them
};
/// Every spelling JSON has for a number in the range, with at most 1 to 20 digits in each part; exponents only where
/// the bounds leave the magnitude open. Empty when there is none. Error{unsupported} naming multipleOf when the divisor
/// has too many digits.
Dfa numbers(const NumberRange& range);
/// Every spelling of this number that `numbers` knows.
Dfa number_equal_to(const std::string& value);

}  // namespace tenon::grammar
