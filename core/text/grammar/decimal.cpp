#include "text/grammar/decimal.hpp"

#include <charconv>

#include "base/error.hpp"

namespace tenon::grammar {
namespace {

constexpr size_t kMaxDigits = 40;

std::string_view take_digits(std::string_view& text) {
  size_t n = 0;
  while (n < text.size() && text[n] >= '0' && text[n] <= '9') ++n;
  const std::string_view digits = text.substr(0, n);
  text.remove_prefix(n);
  return digits;
}

}  // namespace

Decimal parse_decimal(std::string_view given) {
  std::string_view text = given;
  Decimal out;
  const auto broken = [&] { fail(ErrorCode::usage, "[number] '{}' is none", given); };
  if (text.starts_with('-')) out.negative = true, text.remove_prefix(1);
  std::string digits(take_digits(text));
  if (digits.empty()) broken();
  auto point = static_cast<int64_t>(digits.size());
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    const std::string_view fraction = take_digits(text);
    if (fraction.empty()) broken();
    digits += fraction;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(text.size() > 1 && text[1] == '+' ? 2 : 1);
    int exponent = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), exponent);
    if (error != std::errc() || exponent > 9999 || exponent < -9999) broken();
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    point += exponent;
  }
  if (!text.empty()) broken();
  const size_t first = digits.find_first_not_of('0');
  if (first == std::string::npos) return out;
  const size_t last = digits.find_last_not_of('0') + 1;
  const int64_t whole = point - static_cast<int64_t>(first), fraction = static_cast<int64_t>(last) - point;
  if (whole > static_cast<int64_t>(kMaxDigits) || fraction > static_cast<int64_t>(kMaxDigits))
    fail(ErrorCode::unsupported, "[number] {} has more than {} digits on one side of the point", given, kMaxDigits);
  digits = digits.substr(first, last - first);
  if (whole > 0) {
    const auto n = static_cast<size_t>(whole);
    out.whole = digits.substr(0, n) + std::string(n > digits.size() ? n - digits.size() : 0, '0');
    out.fraction = n < digits.size() ? digits.substr(n) : "";
  } else {
    out.fraction = std::string(static_cast<size_t>(-whole), '0') + digits;
  }
  return out;
}

}  // namespace tenon::grammar
