#include "text/unicode_classes.hpp"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <span>
#include <vector>

#include "text/unicode.hpp"

namespace tenon {

namespace {

struct Range {
  UnicodeClass which;
  int32_t first, last;
  bool inside;
};

constexpr Range kRanges[] = {
#define UNICODE_CLASS(CLASS, FIRST, LAST, INSIDE) {UnicodeClass::CLASS, FIRST, LAST, INSIDE},
#include "text/unicode_classes.def"
#undef UNICODE_CLASS
};

// The table lists one class after another, each by code points.
const Range* range_of(int32_t code, UnicodeClass which) {
  const auto* const range = std::ranges::partition_point(
      kRanges, [&](const Range& r) { return r.which < which || (r.which == which && r.last < code); });
  return range != std::end(kRanges) && range->which == which && range->first <= code ? range : nullptr;
}

bool in_own_class(int32_t code, UnicodeClass which) {
  const auto category = utf8proc_category(code);
  switch (which) {
    case UnicodeClass::punctuation:
      return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
    case UnicodeClass::mark:
      return unicode::is_mark(code);
    case UnicodeClass::nonspacing:
      return category == UTF8PROC_CATEGORY_MN;
    case UnicodeClass::control:
      return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CO;
    case UnicodeClass::number:
    case UnicodeClass::word:
      break;
  }
  return false;
}

// The table's ranges as members of a bracket expression.
std::string ranges_of(UnicodeClass which, bool inside) {
  std::string out;
  for (const Range& r : kRanges)
    if (r.which == which && r.inside == inside) out += fmt::format("\\x{{{:x}}}-\\x{{{:x}}}", r.first, r.last);
  return out;
}

}  // namespace

bool in_class(int32_t code, UnicodeClass which) {
  const Range* range = code < 0x80 ? nullptr : range_of(code, which);
  return range ? range->inside : in_own_class(code, which);
}

std::string punctuation_expression() {
  return "[!-/:-@\\[-`{-~" + ranges_of(UnicodeClass::punctuation, true) + "]|(?![" +
         ranges_of(UnicodeClass::punctuation, false) + "])\\p{P}";
}

std::string number_expression() { return "[\\p{N}" + ranges_of(UnicodeClass::number, true) + "]"; }

// Rust's \w: alphabetic, marks, decimals, connectors, joiners.
std::string words_expression() {
  const std::string word =
      R"(\p{L}\p{M}\p{Nl}\p{Nd}\p{Pc}\x{200c}\x{200d}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169})"
      R"(\x{1f170}-\x{1f189})" +
      ranges_of(UnicodeClass::word, true);
  return "[" + word + "]+|[^\\s" + word + "]+";
}

}  // namespace tenon
