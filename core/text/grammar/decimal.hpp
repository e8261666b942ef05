// Exact decimals as JSON spells numbers.
#pragma once

#include <string>
#include <string_view>

namespace tenon::grammar {

struct Decimal {
  bool negative = false;
  std::string whole = "0";  // no zeros in front
  std::string fraction;     // no zeros at the end
  bool zero() const { return whole == "0" && fraction.empty(); }
};
/// Error{usage} for what is no JSON number, Error{unsupported} for one of more than 40 digits on a side.
Decimal parse_decimal(std::string_view text);

}  // namespace tenon::grammar
