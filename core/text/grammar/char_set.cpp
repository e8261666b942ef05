#include "text/grammar/char_set.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <string>

namespace tenon::grammar {
namespace {

struct Name {
  std::string_view text;
  std::string_view categories;  // as utf8proc spells them, two letters each
};

constexpr std::string_view kLetters = "LuLlLtLmLo", kMarks = "MnMcMe", kNumbers = "NdNlNo",
                           kPunctuation = "PcPdPsPePiPfPo", kSymbols = "SmScSkSo", kSeparators = "ZsZlZp",
                           kOthers = "CcCfCsCoCn";
constexpr Name kNames[] = {{"L", kLetters},
                           {"Letter", kLetters},
                           {"Lu", "Lu"},
                           {"Uppercase_Letter", "Lu"},
                           {"Ll", "Ll"},
                           {"Lowercase_Letter", "Ll"},
                           {"Lt", "Lt"},
                           {"Titlecase_Letter", "Lt"},
                           {"Lm", "Lm"},
                           {"Modifier_Letter", "Lm"},
                           {"Lo", "Lo"},
                           {"Other_Letter", "Lo"},
                           {"LC", "LuLlLt"},
                           {"Cased_Letter", "LuLlLt"},
                           {"M", kMarks},
                           {"Mark", kMarks},
                           {"Mn", "Mn"},
                           {"Nonspacing_Mark", "Mn"},
                           {"Mc", "Mc"},
                           {"Spacing_Mark", "Mc"},
                           {"Me", "Me"},
                           {"Enclosing_Mark", "Me"},
                           {"N", kNumbers},
                           {"Number", kNumbers},
                           {"Nd", "Nd"},
                           {"Decimal_Number", "Nd"},
                           {"digit", "Nd"},
                           {"Nl", "Nl"},
                           {"Letter_Number", "Nl"},
                           {"No", "No"},
                           {"Other_Number", "No"},
                           {"P", kPunctuation},
                           {"Punctuation", kPunctuation},
                           {"punct", kPunctuation},
                           {"Pc", "Pc"},
                           {"Connector_Punctuation", "Pc"},
                           {"Pd", "Pd"},
                           {"Dash_Punctuation", "Pd"},
                           {"Ps", "Ps"},
                           {"Open_Punctuation", "Ps"},
                           {"Pe", "Pe"},
                           {"Close_Punctuation", "Pe"},
                           {"Pi", "Pi"},
                           {"Initial_Punctuation", "Pi"},
                           {"Pf", "Pf"},
                           {"Final_Punctuation", "Pf"},
                           {"Po", "Po"},
                           {"Other_Punctuation", "Po"},
                           {"S", kSymbols},
                           {"Symbol", kSymbols},
                           {"Sm", "Sm"},
                           {"Math_Symbol", "Sm"},
                           {"Sc", "Sc"},
                           {"Currency_Symbol", "Sc"},
                           {"Sk", "Sk"},
                           {"Modifier_Symbol", "Sk"},
                           {"So", "So"},
                           {"Other_Symbol", "So"},
                           {"Z", kSeparators},
                           {"Separator", kSeparators},
                           {"Zs", "Zs"},
                           {"Space_Separator", "Zs"},
                           {"Zl", "Zl"},
                           {"Line_Separator", "Zl"},
                           {"Zp", "Zp"},
                           {"Paragraph_Separator", "Zp"},
                           {"C", kOthers},
                           {"Other", kOthers},
                           {"Cc", "Cc"},
                           {"Control", "Cc"},
                           {"cntrl", "Cc"},
                           {"Cf", "Cf"},
                           {"Format", "Cf"},
                           {"Co", "Co"},
                           {"Private_Use", "Co"},
                           {"Cn", "Cn"},
                           {"Unassigned", "Cn"}};

bool within(std::string_view categories, std::string_view category) {
  for (size_t i = 0; i + 2 <= categories.size(); i += 2)
    if (categories.substr(i, 2) == category) return true;
  return false;
}

CharSet of_categories(std::string_view categories) {
  std::vector<CharSet::Range> ranges;
  for (int32_t code = 0; code <= CharSet::kLast; ++code) {
    if (!within(categories, utf8proc_category_string(code))) continue;
    if (!ranges.empty() && ranges.back().second == code - 1)
      ranges.back().second = code;
    else
      ranges.emplace_back(code, code);
  }
  CharSet set;
  for (const auto& [first, last] : ranges) set.add(first, last);
  return set;
}

}  // namespace

std::optional<CharSet> CharSet::property(std::string_view name) {
  if (name == "Any") return all();
  if (name == "ASCII") return CharSet{{0, 0x7F}};
  if (name == "White_Space" || name == "space")
    return CharSet{{9, 13},          {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
                   {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};
  const auto* known = std::find_if(std::begin(kNames), std::end(kNames), [&](const Name& n) { return n.text == name; });
  if (known == std::end(kNames)) return std::nullopt;
  static std::mutex mutex;
  static std::map<std::string_view, CharSet> sets;
  const std::lock_guard lock(mutex);
  const auto it = sets.find(known->categories);
  return it != sets.end() ? it->second : sets[known->categories] = of_categories(known->categories);
}

void CharSet::add(const CharSet& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  tidy();
}

CharSet CharSet::inverted() const {
  CharSet out;
  int32_t next = 0;
  for (const auto& [first, last] : ranges_) {
    if (first > next) out.ranges_.emplace_back(next, first - 1);
    next = last + 1;
  }
  if (next <= kLast) out.ranges_.emplace_back(next, kLast);
  return out;
}

CharSet CharSet::any_case() const {
  constexpr int32_t kLastCased = 0x1E943;
  CharSet out = *this;
  for (const auto& [first, last] : ranges_)
    for (int32_t code = first; code <= std::min(last, kLastCased); ++code)
      for (const int32_t other : {utf8proc_tolower(code), utf8proc_toupper(code)})
        if (other != code) out.ranges_.emplace_back(other, other);
  out.tidy();
  return out;
}

void CharSet::tidy() {
  if (ranges_.size() < 2) return;
  if (ranges_.back().first > ranges_[ranges_.size() - 2].second + 1 && std::is_sorted(ranges_.begin(), ranges_.end()))
    return;
  std::sort(ranges_.begin(), ranges_.end());
  size_t kept = 0;
  for (size_t i = 1; i < ranges_.size(); ++i) {
    if (ranges_[i].first <= ranges_[kept].second + 1)
      ranges_[kept].second = std::max(ranges_[kept].second, ranges_[i].second);
    else
      ranges_[++kept] = ranges_[i];
  }
  ranges_.resize(kept + 1);
}

}  // namespace tenon::grammar
