// JSON numbers under constraints, as automata over their spelling.
#pragma once

#include <optional>
#include <string>

#include "text/grammar/dfa.hpp"

namespace tenon::grammar {

/// Bounds and divisors are exact decimals as JSON spells them ("-12.5", "1e3").
struct NumberRange {
  std::optional<std::string> minimum = {}, maximum = {};
  bool exclusive_minimum = false, exclusive_maximum = false;
  std::optional<std::string> multiple_of = {};
  bool integer = false;  // whole numbers, "1.0" among them
};
/// The spellings of the range's numbers: at most 20 digits on each side of the point, 15 in front of a fraction; with
/// an exponent only where sign alone decides (no bound, or 0). Empty when there is none. Error{unsupported} for a bound
/// of more than 40 digits and for a divisor of more than four significant digits.
Dfa numbers(const NumberRange& range);
/// The spellings of one number: as it is given, and with up to four zeros behind the point.
Dfa number_equal_to(const std::string& value);
/// Every number without exponent, its fraction without zeros at the end, whole ones also with ".0". All or none of a
/// number's spellings here are in what the functions above give: complements are taken within this.
const Dfa& canonical_numbers();

}  // namespace tenon::grammar
