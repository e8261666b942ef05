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
  }
  return false;
}

}  // namespace

bool in_class(int32_t code, UnicodeClass which) {
  const Range* range = code < 0x80 ? nullptr : range_of(code, which);
  return range ? range->inside : in_own_class(code, which);
}

std::string punctuation_expression() {
  std::string more, less;
  for (const Range& r : kRanges)
    if (r.which == UnicodeClass::punctuation)
      (r.inside ? more : less) += fmt::format("\\x{{{:x}}}-\\x{{{:x}}}", r.first, r.last);
  return "[!-/:-@\\[-`{-~" + more + "]|(?![" + less + "])\\p{P}";
}

}  // namespace tenon
