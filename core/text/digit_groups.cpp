#include "text/digit_groups.hpp"

#include "text/unicode.hpp"

namespace tenon {

namespace {

bool is_digit(int32_t code, DigitGroups how) {
  if (code < 0) return false;
  return how == DigitGroups::isolated ? unicode::is_number(code) : unicode::is_decimal(code);
}

bool ends_word(std::string_view text, size_t at) {
  if (at >= text.size()) return true;
  const int32_t code = unicode::decode(text, at).code;
  return code < 0 || !(unicode::is_letter(code) || unicode::is_mark(code) || code == '_');
}

}  // namespace

void split_digits(std::string_view text, DigitGroups how, std::vector<std::string_view>& out) {
  size_t done = 0;
  const auto cut = [&](size_t at) {
    if (at > done) out.push_back(text.substr(done, at - done));
    done = at;
  };
  std::vector<size_t> starts;  // of the digits of a run
  for (size_t at = 0; at < text.size();) {
    starts.clear();
    unicode::Decoded d = unicode::decode(text, at);
    for (; is_digit(d.code, how); d = at < text.size() ? unicode::decode(text, at) : unicode::Decoded{}) {
      starts.push_back(at);
      at += d.length;
    }
    const bool grouped = !starts.empty() && (how != DigitGroups::bounded || ends_word(text, at));
    if (grouped && how != DigitGroups::before) cut(starts.front());
    for (size_t i = starts.size() % 3; grouped && i < starts.size(); i += 3) cut(starts[i]);
    if (grouped && how != DigitGroups::before) cut(at);
    if (starts.empty()) at += d.length;
  }
  cut(text.size());
}

}  // namespace tenon
