// Filters on text and single values.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/error.hpp"
#include "text/jinja/builtins.hpp"
#include "text/unicode.hpp"

namespace tenon::jinja {

namespace {

Var via_method(Interp& i, const Var& v, Args& a, const char* method) {
  const Var text = v.is_string() ? v : Var::string(i.text(v));
  return find_text_method(method)(i, text, a);
}

Var fallback(Interp&, const Var& v, Args& a) {
  const Bound b("default", a, {"default_value", "boolean"});
  const bool missing = v.is_undefined() || (b.flag(1, false) && !truthy(v));
  if (!missing) return v;
  return b.get(0) ? *b.get(0) : Var::string("");
}

Var escape(Interp& i, const Var& v, Args&) {
  if (v.is_string() && v.markup()) return v;
  std::string out = escaped_html(i.text(v));
  i.budget().bytes(out.size());
  return Var::string(std::move(out), true);
}

Var force_escape(Interp& i, const Var& v, Args&) { return Var::string(escaped_html(i.text(v)), true); }
Var safe(Interp& i, const Var& v, Args&) { return Var::string(i.text(v), true); }
Var to_string(Interp& i, const Var& v, Args&) { return v.is_string() ? v : Var::string(i.text(v)); }

// A number written in text, with the blanks and underscores that Python allows.
std::optional<Var> parsed_integer(std::string text, int64_t base) {
  std::erase(text, '_');
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  size_t at = 0;
  while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at]))) ++at;
  const bool negative = at < text.size() && text[at] == '-';
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
  if (at + 2 < text.size() && text[at] == '0' && std::isalpha(static_cast<unsigned char>(text[at + 1])) && base != 10)
    at += 2;
  if (at >= text.size()) return std::nullopt;
  Int value = 0;
  for (; at < text.size(); ++at) {
    const char c = static_cast<char>(text[at] | 0x20);
    const int digit = text[at] >= '0' && text[at] <= '9' ? text[at] - '0' : c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99;
    if (digit >= base || __builtin_mul_overflow(value, Int{base}, &value) ||
        __builtin_add_overflow(value, Int{digit}, &value))
      return std::nullopt;
  }
  return Var::integer(negative ? -value : value);
}

std::optional<double> parsed_real(const std::string& text) {
  if (text.empty() || text.find_first_of("xX(") != std::string::npos) return std::nullopt;
  char* end = nullptr;
  const double d = std::strtod(text.c_str(), &end);
  while (*end && std::isspace(static_cast<unsigned char>(*end))) ++end;
  return end == text.c_str() || *end ? std::nullopt : std::optional(d);
}

Var to_int(Interp&, const Var& v, Args& a) {
  const Bound b("int", a, {"default", "base"});
  const Var otherwise = b.get(0) ? *b.get(0) : Var::integer(0);
  if (v.is_integral()) return Var::integer(v.as_int());
  std::optional<double> real;
  if (v.is(Kind::real)) real = v.as_real();
  if (v.is_string()) {
    const int64_t base = b.integer(1, 10);
    if (base < 2 || base > 36) fault("int() base must be >= 2 and <= 36");
    if (const auto i = parsed_integer(v.text(), base)) return *i;
    real = parsed_real(v.text());
  }
  return real && std::abs(*real) < 1e38 ? truncated(*real) : otherwise;
}

Var to_float(Interp&, const Var& v, Args& a) {
  const Bound b("float", a, {"default"});
  if (v.is_number()) return Var::real(v.as_real());
  if (v.is_string())
    if (const auto d = parsed_real(v.text())) return Var::real(*d);
  return b.get(0) ? *b.get(0) : Var::real(0);
}

Var absolute(Interp& i, const Var& v, Args&) {
  if (!v.is_number()) fault("bad operand type for abs(): '{}'", type_name(v));
  if (v.is(Kind::real)) return Var::real(std::abs(v.as_real()));
  return v.as_int() < 0 ? arithmetic(i, "-", Var::integer(0), v) : Var::integer(v.as_int());
}

Var round_to(Interp&, const Var& v, Args& a) {
  const Bound b("round", a, {"precision", "method"});
  if (!v.is_number()) fault("type {} doesn't define __round__ method", type_name(v));
  const int64_t precision = std::clamp<int64_t>(b.integer(0, 0), -300, 300);
  const std::string method = b.string(1, "common");
  if (method == "common") {
    if (v.is_integral() && precision >= 0) return Var::integer(v.as_int());
    if (precision >= 0) return Var::real(std::strtod(fmt::format("{:.{}f}", v.as_real(), precision).c_str(), nullptr));
    const double unit = std::pow(10.0, static_cast<double>(-precision));
    return Var::real(std::nearbyint(v.as_real() / unit) * unit);
  }
  if (method != "ceil" && method != "floor") fault("method must be common, ceil or floor");
  const double unit = std::pow(10.0, static_cast<double>(precision)), scaled = v.as_real() * unit;
  return Var::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit);
}

Var indent(Interp& i, const Var& v, Args& a) {
  const Bound b("indent", a, {"width", "first", "blank"});
  const std::string text = i.text(v);
  const bool words = b.get(0) && b.get(0)->is_string();
  const int64_t width = words ? 0 : std::clamp<int64_t>(b.integer(0, 4), 0, 10'000);
  const std::string pad = words ? b.get(0)->text() : std::string(static_cast<size_t>(width), ' ');
  const bool first = b.flag(1, false), blank = b.flag(2, false);
  std::string out;
  size_t begin = 0;
  for (bool first_line = true; begin <= text.size(); first_line = false) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const bool empty = end == begin;
    if (first_line ? first : (blank || !empty)) out += pad;
    out += text.substr(begin, end - begin);
    i.budget().output(out.size());
    if (end < text.size()) out += '\n';
    begin = end + 1;
  }
  i.budget().bytes(out.size());
  return Var::string(std::move(out), v.markup());
}

Var truncate(Interp& i, const Var& v, Args& a) {
  const Bound b("truncate", a, {"length", "killwords", "end", "leeway"});
  const std::string text = i.text(v), end = b.string(2, "...");
  const int64_t length = std::max<int64_t>(0, b.integer(0, 255)), have = static_cast<int64_t>(unicode::length(text));
  const int64_t tail = static_cast<int64_t>(unicode::length(end));
  if (have <= length + b.integer(3, 5)) return Var::string(text);
  size_t at = 0;
  for (int64_t n = 0; n < length - tail; ++n) at += unicode::decode(text, at).length;
  std::string kept = text.substr(0, at);
  if (!b.flag(1, false))
    if (const size_t space = kept.rfind(' '); space != std::string::npos) kept.resize(space);
  return Var::string(kept + end);
}

Var word_count(Interp& i, const Var& v, Args&) {
  Args none;
  const Var words = via_method(i, v, none, "split");
  return Var::integer(static_cast<int64_t>(words.sequence().items.size()));
}

void quote(std::string& out, std::string_view text, bool keep_slash) {
  for (char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-' || c == '~' ||
                       (keep_slash && c == '/');
    if (plain && !(c & 0x80))
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
}

Var url_encode(Interp& i, const Var& v, Args&) {
  std::string out;
  if (v.is(Kind::dict)) {
    for (const auto& [key, value] : v.dict_ref().items()) {
      if (!out.empty()) out += '&';
      quote(out, i.text(key), false);
      out += '=';
      quote(out, i.text(value), false);
    }
  } else {
    quote(out, i.text(v), true);
  }
  i.budget().bytes(out.size());
  return Var::string(std::move(out));
}

// Tags go, runs of white space become one blank.
Var strip_tags(Interp& i, const Var& v, Args&) {
  const std::string text = i.text(v);
  std::string out;
  bool inside = false, space = false;
  for (char c : text) {
    if (c == '<') inside = true;
    if (!inside && !(c & 0x80) && std::isspace(static_cast<unsigned char>(c))) {
      space = !out.empty();
    } else if (!inside) {
      if (space) out += ' ';
      space = false;
      out += c;
    }
    if (c == '>') inside = false;
  }
  return Var::string(std::move(out));
}

Var to_json(Interp& i, const Var& v, Args& a) {
  const Bound b("tojson", a, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = b.flag(0, false);
  style.sort_keys = b.flag(3, false);
  if (b.has(1))
    style.indent = b.get(1)->is_string()
                       ? b.get(1)->text()
                       : std::string(static_cast<size_t>(std::clamp<int64_t>(b.integer(1, 0), 0, 100)), ' ');
  style.item_separator = style.indent ? "," : ", ";
  if (b.has(2)) {
    const List two = i.iterate(*b.get(2));
    if (two.size() != 2) fault("tojson() separators are two strings");
    style.item_separator = text_of(two[0], "a separator");
    style.key_separator = text_of(two[1], "a separator");
  }
  return Var::string(to_json_text(v, style, i.budget()));
}

Var from_json(Interp& i, const Var& v, Args&) {
  const std::string& text = text_of(v, "from_json() input");
  i.budget().step(text.size() / 16);
  i.budget().bytes(text.size() * 2);
  try {
    return Var::from_value(parse_json(text, "from_json"));
  } catch (const Error& e) {
    fault("{}", e.what());
  }
}

struct Entry {
  const char* name;
  Builtin filter;
};

constexpr Entry kFilters[] = {
    {"upper", [](Interp& i, const Var& v, Args& a) { return via_method(i, v, a, "upper"); }},
    {"lower", [](Interp& i, const Var& v, Args& a) { return via_method(i, v, a, "lower"); }},
    {"capitalize", [](Interp& i, const Var& v, Args& a) { return via_method(i, v, a, "capitalize"); }},
    {"title", [](Interp& i, const Var& v, Args& a) { return via_method(i, v, a, "title"); }},
    {"replace", [](Interp& i, const Var& v, Args& a) { return via_method(i, v, a, "replace"); }},
    {"trim", [](Interp& i, const Var& v, Args& a) { return via_method(i, v, a, "strip"); }},
    {"center",
     [](Interp& i, const Var& v, Args& a) {
       if (a.positional.empty() && a.named.empty()) a.positional.push_back(Var::integer(80));
       return via_method(i, v, a, "center");
     }},
    {"format",
     [](Interp& i, const Var& v, Args& a) {
       if (a.named.empty()) return Var::string(format_percent(i, i.text(v), Var::list(a.positional, Flavor::tuple)));
       const Var members = Var::dict();
       for (const auto& [name, value] : a.named) members.dict_ref().set(Var::string(name), value);
       return Var::string(format_percent(i, i.text(v), members));
     }},
    {"default", fallback},
    {"d", fallback},
    {"escape", escape},
    {"e", escape},
    {"forceescape", force_escape},
    {"safe", safe},
    {"string", to_string},
    {"int", to_int},
    {"float", to_float},
    {"abs", absolute},
    {"round", round_to},
    {"indent", indent},
    {"truncate", truncate},
    {"wordcount", word_count},
    {"urlencode", url_encode},
    {"striptags", strip_tags},
    {"tojson", to_json},
    {"from_json", from_json},
    {"fromjson", from_json},
    {"pprint", [](Interp& i, const Var& v, Args&) { return Var::string(to_repr(v, i.budget())); }},
};

}  // namespace

Builtin find_text_filter(std::string_view name) {
  for (const Entry& e : kFilters)
    if (name == e.name) return e.filter;
  return nullptr;
}

Builtin find_filter(std::string_view name) {
  const Builtin f = find_text_filter(name);
  return f ? f : find_list_filter(name);
}

}  // namespace tenon::jinja
