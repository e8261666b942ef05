// Methods of strings. Positions and lengths count code points, as Python does.
#include <algorithm>

#include "text/jinja/builtins.hpp"
#include "text/unicode.hpp"

namespace tenon::jinja {

namespace {

constexpr auto kAll = std::string_view::npos;

Var made(Interp& i, const Var& self, std::string s) {
  i.budget().bytes(s.size());
  return Var::string(std::move(s), self.markup());
}

std::string_view stripped(std::string_view s, const std::string* chars, bool left, bool right) {
  const auto drops = [&](std::string_view c, int32_t code) {
    return chars ? chars->find(c) != kAll : code >= 0 && (unicode::is_space(code) || (code >= 0x1c && code <= 0x1f));
  };
  while (left && !s.empty()) {
    const unicode::Decoded d = unicode::decode(s, 0);
    if (!drops(s.substr(0, d.length), d.code)) break;
    s.remove_prefix(d.length);
  }
  while (right && !s.empty()) {
    size_t at = s.size() - 1;
    while (at > 0 && s.size() - at < 4 && (s[at] & 0xc0) == 0x80) --at;
    unicode::Decoded d = unicode::decode(s, at);
    if (at + d.length != s.size()) d = unicode::decode(s, at = s.size() - 1);
    if (!drops(s.substr(at), d.code)) break;
    s.remove_suffix(s.size() - at);
  }
  return s;
}

Var strip(Interp& i, const Var& self, Args& a, bool left, bool right) {
  const Bound b("strip", a, {"chars"});
  const std::string* chars = b.has(0) ? &text_of(*b.get(0), "strip arg") : nullptr;
  i.budget().step(self.text().size() / 64);
  return made(i, self, std::string(stripped(self.text(), chars, left, right)));
}

List split_blank(Interp& i, std::string_view s, int64_t limit, bool from_right) {
  List out;
  const auto push = [&](std::string_view part) { out.push_back(Var::string(std::string(part))); };
  s = stripped(s, nullptr, !from_right, from_right);
  while (!s.empty()) {
    i.budget().step();
    if (limit >= 0 && static_cast<int64_t>(out.size()) >= limit) {
      push(stripped(s, nullptr, from_right, !from_right && limit > 0 ? false : from_right));
      break;
    }
    size_t begin = 0, end = s.size();
    if (from_right) {
      while (end > begin && stripped(s.substr(0, end), nullptr, false, true).size() == end) {
        --end;
        while (end > 0 && (s[end] & 0xc0) == 0x80) --end;
      }
      push(s.substr(end));
      s = stripped(s.substr(0, end), nullptr, false, true);
    } else {
      end = 0;
      while (end < s.size()) {
        const unicode::Decoded d = unicode::decode(s, end);
        if (d.code >= 0 && (unicode::is_space(d.code) || (d.code >= 0x1c && d.code <= 0x1f))) break;
        end += d.length;
      }
      push(s.substr(0, end));
      s = stripped(s.substr(end), nullptr, true, false);
    }
  }
  if (from_right) std::reverse(out.begin(), out.end());
  return out;
}

Var split(Interp& i, const Var& self, Args& a, bool from_right) {
  const Bound b("split", a, {"sep", "maxsplit"});
  const int64_t limit = b.integer(1, -1);
  std::string_view s = self.text();
  i.budget().bytes(s.size());
  if (!b.has(0)) return Var::list(split_blank(i, s, limit, from_right));
  const std::string& separator = text_of(*b.get(0), "separator");
  if (separator.empty()) fault("empty separator");
  List out;
  while (limit < 0 || static_cast<int64_t>(out.size()) < limit) {
    const size_t at = from_right ? s.rfind(separator) : s.find(separator);
    if (at == kAll) break;
    i.budget().step();
    out.push_back(Var::string(std::string(from_right ? s.substr(at + separator.size()) : s.substr(0, at))));
    s = from_right ? s.substr(0, at) : s.substr(at + separator.size());
  }
  out.push_back(Var::string(std::string(s)));
  if (from_right) std::reverse(out.begin(), out.end());
  return Var::list(std::move(out));
}

Var split_lines(Interp& i, const Var& self, Args& a) {
  const Bound b("splitlines", a, {"keepends"});
  const bool keep = b.flag(0, false);
  const std::string& s = self.text();
  i.budget().bytes(s.size());
  List out;
  for (size_t at = 0; at < s.size();) {
    const size_t end = std::min(s.find_first_of("\n\r\v\f\x1c\x1d\x1e", at), s.size());
    size_t next = std::min(end + 1, s.size());
    if (end + 1 < s.size() && s[end] == '\r' && s[end + 1] == '\n') ++next;
    i.budget().step();
    out.push_back(Var::string(s.substr(at, (keep ? next : end) - at)));
    at = next;
  }
  return Var::list(std::move(out));
}

Var partition(Interp&, const Var& self, Args& a, bool from_right) {
  const Bound b("partition", a, {"sep"});
  const std::string &separator = text_of(b.need(0), "separator"), &s = self.text();
  if (separator.empty()) fault("empty separator");
  const size_t at = from_right ? s.rfind(separator) : s.find(separator);
  if (at == kAll) {
    const Var empty = Var::string("");
    return Var::list(from_right ? List{empty, empty, self} : List{self, empty, empty}, Flavor::tuple);
  }
  return Var::list({Var::string(s.substr(0, at)), Var::string(separator), Var::string(s.substr(at + separator.size()))},
                   Flavor::tuple);
}

Var replace(Interp& i, const Var& self, Args& a) {
  const Bound b("replace", a, {"old", "new", "count"});
  const std::string &from = text_of(b.need(0), "replace() argument"), &to = text_of(b.need(1), "replace() argument");
  const std::string& s = self.text();
  int64_t left = b.integer(2, -1);
  std::string out;
  size_t at = 0;
  while (left != 0 && at <= s.size()) {
    const size_t found = s.find(from, at);
    if (found == kAll || (from.empty() && at >= s.size() && at > 0 && found > s.size())) break;
    (out += s.substr(at, found - at)) += to;
    at = found + from.size();
    i.budget().output(out.size());
    if (left > 0) --left;
    if (!from.empty()) continue;
    if (at >= s.size()) return made(i, self, std::move(out));
    const size_t n = unicode::decode(s, at).length;
    out += s.substr(at, n);
    at += n;
  }
  if (at < s.size()) out += s.substr(at);
  return made(i, self, std::move(out));
}

bool affix(const Var& self, const Var& wanted, bool front) {
  if (wanted.is_list(Flavor::tuple)) {
    const List& all = wanted.sequence().items;
    return std::any_of(all.begin(), all.end(), [&](const Var& w) { return affix(self, w, front); });
  }
  const std::string &s = self.text(), &w = text_of(wanted, front ? "startswith first arg" : "endswith first arg");
  return s.size() >= w.size() && s.compare(front ? 0 : s.size() - w.size(), w.size(), w) == 0;
}

Var remove_affix(Interp& i, const Var& self, Args& a, bool front) {
  const Bound b("removeprefix", a, {"affix"});
  const size_t n = text_of(b.need(0), "affix").size();
  if (!affix(self, b.need(0), front)) return self;
  return made(i, self, front ? self.text().substr(n) : self.text().substr(0, self.text().size() - n));
}

// find, rfind, index, rindex and count look at the code points [start, end).
std::pair<size_t, size_t> window(const Var& self, const Bound& b) {
  const std::string& s = self.text();
  const auto n = static_cast<int64_t>(unicode::length(s));
  const auto at = [&](int64_t index) {
    if (index < 0) index = std::max<int64_t>(0, index + n);
    size_t byte = 0;
    for (; index > 0 && byte < s.size(); --index) byte += unicode::decode(s, byte).length;
    return byte;
  };
  return {at(b.integer(1, 0)), b.has(2) ? at(b.integer(2, n)) : s.size()};
}

Var find(Interp& i, const Var& self, Args& a, bool from_right, bool must) {
  const Bound b("find", a, {"sub", "start", "end"});
  const auto [begin, end] = window(self, b);
  i.budget().step(self.text().size() / 64);
  const std::string_view s = std::string_view(self.text()).substr(0, end);
  const std::string& wanted = text_of(b.need(0), "find() argument");
  size_t at = from_right ? s.rfind(wanted) : s.find(wanted, begin);
  if (at != kAll && at < begin) at = kAll;
  if (at == kAll && must) fault("substring not found");
  return Var::integer(at == kAll ? -1 : static_cast<int64_t>(unicode::length(s.substr(0, at))));
}

Var count(Interp& i, const Var& self, Args& a) {
  const Bound b("count", a, {"sub", "start", "end"});
  const auto [begin, end] = window(self, b);
  const std::string& wanted = text_of(b.need(0), "count() argument");
  const std::string_view s = std::string_view(self.text()).substr(begin, end > begin ? end - begin : 0);
  i.budget().step(s.size() / 64);
  if (wanted.empty()) return Var::integer(static_cast<int64_t>(unicode::length(s)) + 1);
  int64_t n = 0;
  for (size_t at = s.find(wanted); at != kAll; at = s.find(wanted, at + wanted.size())) ++n;
  return Var::integer(n);
}

// Applies `first` to the first letter of each word (or only of the text) and lower case to the rest.
Var cased(Interp& i, const Var& self, bool each_word) {
  std::string out;
  bool start = true;
  const std::string& s = self.text();
  i.budget().step(s.size() / 64);
  for (size_t at = 0; at < s.size();) {
    const unicode::Decoded d = unicode::decode(s, at);
    const std::string_view c = std::string_view(s).substr(at, d.length);
    out += start ? unicode::to_upper(c) : unicode::to_lower(c);
    start = each_word && !(d.code >= 0 && unicode::is_letter(d.code));
    at += d.length;
  }
  return made(i, self, std::move(out));
}

Var swap_case(Interp& i, const Var& self, Args&) {
  std::string out;
  const std::string& s = self.text();
  for (size_t at = 0; at < s.size();) {
    const unicode::Decoded d = unicode::decode(s, at);
    const std::string_view c = std::string_view(s).substr(at, d.length);
    out += d.code >= 0 && unicode::is_upper(d.code) ? unicode::to_lower(c) : unicode::to_upper(c);
    at += d.length;
  }
  return made(i, self, std::move(out));
}

Var justify(Interp& i, const Var& self, Args& a, char side) {
  const Bound b("justify", a, {"width", "fillchar"});
  const int64_t width = integer_of(b.need(0), "width"), have = static_cast<int64_t>(unicode::length(self.text()));
  const std::string fill = b.string(1, " ");
  if (width <= have) return self;
  const int64_t missing = width - have;
  i.budget().bytes(static_cast<size_t>(std::min<int64_t>(missing, 1 << 30)) * fill.size());
  const auto pad = [&](int64_t n) {
    std::string out;
    while (n-- > 0) out += fill;
    return out;
  };
  // Python puts the odd blank of center() to the left when the width is odd.
  const int64_t left = side == '<' ? 0 : side == '>' ? missing : missing / 2 + (missing & width & 1);
  return made(i, self, pad(left) + self.text() + pad(missing - left));
}

Var zero_fill(Interp& i, const Var& self, Args& a) {
  const Bound b("zfill", a, {"width"});
  const int64_t missing = integer_of(b.need(0), "width") - static_cast<int64_t>(unicode::length(self.text()));
  if (missing <= 0) return self;
  i.budget().bytes(static_cast<size_t>(std::min<int64_t>(missing, 1 << 30)));
  const bool sign = !self.text().empty() && (self.text()[0] == '-' || self.text()[0] == '+');
  std::string out = self.text();
  return made(i, self, out.insert(sign ? 1 : 0, std::string(static_cast<size_t>(missing), '0')));
}

Var expand_tabs(Interp& i, const Var& self, Args& a) {
  const Bound b("expandtabs", a, {"tabsize"});
  const int64_t size = std::clamp<int64_t>(b.integer(0, 8), 0, 1000);
  std::string out;
  int64_t column = 0;
  for (char c : self.text()) {
    if (c == '\t') {
      const int64_t n = size > 0 ? size - column % size : 0;
      out.append(static_cast<size_t>(n), ' ');
      column += n;
      i.budget().output(out.size());
      continue;
    }
    out += c;
    if (c == '\n' || c == '\r')
      column = 0;
    else if ((c & 0xc0) != 0x80)
      ++column;
  }
  return made(i, self, std::move(out));
}

Var join(Interp& i, const Var& self, Args& a) {
  const Bound b("join", a, {"iterable"});
  std::string out;
  bool first = true;
  for (const Var& part : i.iterate(b.need(0))) {
    if (!first) out += self.text();
    first = false;
    out += text_of(part, "sequence item");
    i.budget().output(out.size());
  }
  return made(i, self, std::move(out));
}

struct Entry {
  const char* name;
  Builtin method;
};

constexpr Entry kMethods[] = {
    {"strip", [](Interp& i, const Var& v, Args& a) { return strip(i, v, a, true, true); }},
    {"lstrip", [](Interp& i, const Var& v, Args& a) { return strip(i, v, a, true, false); }},
    {"rstrip", [](Interp& i, const Var& v, Args& a) { return strip(i, v, a, false, true); }},
    {"split", [](Interp& i, const Var& v, Args& a) { return split(i, v, a, false); }},
    {"rsplit", [](Interp& i, const Var& v, Args& a) { return split(i, v, a, true); }},
    {"splitlines", split_lines},
    {"partition", [](Interp& i, const Var& v, Args& a) { return partition(i, v, a, false); }},
    {"rpartition", [](Interp& i, const Var& v, Args& a) { return partition(i, v, a, true); }},
    {"replace", replace},
    {"startswith", [](Interp&, const Var& v,
                      Args& a) { return Var::boolean(affix(v, Bound("startswith", a, {"prefix"}).need(0), true)); }},
    {"endswith", [](Interp&, const Var& v,
                    Args& a) { return Var::boolean(affix(v, Bound("endswith", a, {"suffix"}).need(0), false)); }},
    {"removeprefix", [](Interp& i, const Var& v, Args& a) { return remove_affix(i, v, a, true); }},
    {"removesuffix", [](Interp& i, const Var& v, Args& a) { return remove_affix(i, v, a, false); }},
    {"find", [](Interp& i, const Var& v, Args& a) { return find(i, v, a, false, false); }},
    {"rfind", [](Interp& i, const Var& v, Args& a) { return find(i, v, a, true, false); }},
    {"index", [](Interp& i, const Var& v, Args& a) { return find(i, v, a, false, true); }},
    {"rindex", [](Interp& i, const Var& v, Args& a) { return find(i, v, a, true, true); }},
    {"count", count},
    {"upper", [](Interp& i, const Var& v, Args&) { return made(i, v, unicode::to_upper(v.text())); }},
    {"lower", [](Interp& i, const Var& v, Args&) { return made(i, v, unicode::to_lower(v.text())); }},
    {"casefold", [](Interp& i, const Var& v, Args&) { return made(i, v, unicode::to_lower(v.text())); }},
    {"capitalize", [](Interp& i, const Var& v, Args&) { return cased(i, v, false); }},
    {"title", [](Interp& i, const Var& v, Args&) { return cased(i, v, true); }},
    {"swapcase", swap_case},
    {"center", [](Interp& i, const Var& v, Args& a) { return justify(i, v, a, '^'); }},
    {"ljust", [](Interp& i, const Var& v, Args& a) { return justify(i, v, a, '<'); }},
    {"rjust", [](Interp& i, const Var& v, Args& a) { return justify(i, v, a, '>'); }},
    {"zfill", zero_fill},
    {"expandtabs", expand_tabs},
    {"join", join},
    {"format", [](Interp& i, const Var& v, Args& a) { return made(i, v, format_braces(i, v.text(), a)); }},
};

bool every(const std::string& s, bool (*accept)(int32_t)) {
  for (size_t at = 0; at < s.size();) {
    const unicode::Decoded d = unicode::decode(s, at);
    if (d.code < 0 || !accept(d.code)) return false;
    at += d.length;
  }
  return !s.empty();
}

constexpr Entry kPredicates[] = {
    {"isdigit", [](Interp&, const Var& v, Args&) { return Var::boolean(every(v.text(), unicode::is_decimal)); }},
    {"isdecimal", [](Interp&, const Var& v, Args&) { return Var::boolean(every(v.text(), unicode::is_decimal)); }},
    {"isnumeric", [](Interp&, const Var& v, Args&) { return Var::boolean(every(v.text(), unicode::is_number)); }},
    {"isalpha", [](Interp&, const Var& v, Args&) { return Var::boolean(every(v.text(), unicode::is_letter)); }},
    {"isalnum",
     [](Interp&, const Var& v, Args&) {
       return Var::boolean(every(v.text(), [](int32_t c) { return unicode::is_letter(c) || unicode::is_number(c); }));
     }},
    {"isspace", [](Interp&, const Var& v, Args&) { return Var::boolean(every(v.text(), unicode::is_space)); }},
    {"isascii",
     [](Interp&, const Var& v, Args&) {
       return Var::boolean(std::all_of(v.text().begin(), v.text().end(), [](char c) { return !(c & 0x80); }));
     }},
    {"isupper", [](Interp& i, const Var& v, Args& a) { return Var::boolean(find_test("upper")(i, v, a)); }},
    {"islower", [](Interp& i, const Var& v, Args& a) { return Var::boolean(find_test("lower")(i, v, a)); }},
};

}  // namespace

Builtin find_text_method(std::string_view name) {
  for (const Entry& e : kMethods)
    if (name == e.name) return e.method;
  for (const Entry& e : kPredicates)
    if (name == e.name) return e.method;
  return nullptr;
}

}  // namespace tenon::jinja
