// str(), repr() and json.dumps() of template values, spelled as CPython does.
#include <algorithm>
#include <cmath>

#include "text/jinja/sorting.hpp"
#include "text/jinja/var.hpp"
#include "text/unicode.hpp"

namespace tenon::jinja {

std::string real_text(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d < 0 ? "-inf" : "inf";
  std::string s =
      fmt::format("{}", d);  // shortest digits that read back, exponents outside 1e-4..1e16 as repr has them
  if (s.find_first_of(".en") == std::string::npos) s += ".0";
  return s;
}

std::string int_text(Int i) { return fmt::format("{}", i); }

namespace {

bool printable(int32_t code) {
  if (code < 0x7f) return code >= 0x20;
  if (code < 0xa1 || code == 0xad) return false;
  return !(code >= 0xd800 && code < 0xe000) && !unicode::is_space(code) && !(code >= 0x200b && code <= 0x200f) &&
         code != 0xfeff;
}

std::string quoted(std::string_view text) {
  const bool single = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = single ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const unicode::Decoded d = unicode::decode(text, at);
    const char c = text[at];
    if (c == quote || c == '\\')
      (out += '\\') += c;
    else if (c == '\n')
      out += "\\n";
    else if (c == '\r')
      out += "\\r";
    else if (c == '\t')
      out += "\\t";
    else if (d.code < 0 || (d.code < 0x100 && !printable(d.code)))
      out += fmt::format("\\x{:02x}", d.code < 0 ? static_cast<unsigned char>(c) : d.code);
    else if (!printable(d.code))
      out += fmt::format("\\u{:04x}", d.code);
    else
      out += text.substr(at, d.length);
    at += d.length;
  }
  return out += quote;
}

class Printer {
 public:
  explicit Printer(Budget& budget) : budget_(budget) {}
  std::string take() { return std::move(out_); }

  void repr(const Var& v, int depth) {
    Budget::depth(depth);
    budget_.step();
    switch (v.kind()) {
      case Kind::string:
        return put(quoted(v.text()));
      case Kind::sequence:
        return sequence(v.sequence(), depth);
      case Kind::dict:
      case Kind::space:
        return dict(v, depth);
      default:
        return scalar(v);
    }
  }

  void scalar(const Var& v) {
    switch (v.kind()) {
      case Kind::undefined:
        return;
      case Kind::none:
        return put("None");
      case Kind::boolean:
        return put(v.as_bool() ? "True" : "False");
      case Kind::integer:
        return put(int_text(v.as_int()));
      case Kind::real:
        return put(real_text(v.as_real()));
      case Kind::callable:
        return put("<function " + v.callable_ref().name + ">");
      default:
        return put("<" + type_name(v) + ">");
    }
  }

 private:
  void put(std::string_view s) {
    budget_.bytes(s.size());
    budget_.output(out_.size() + s.size());
    out_ += s;
  }

  void sequence(const Sequence& s, int depth) {
    if (s.flavor == Flavor::generator) return put("<generator object>");
    if (s.flavor == Flavor::range) return put(s.label);
    static constexpr const char* kOpen[] = {"[", "(", "", "dict_items([", "dict_keys([", "dict_values(["};
    static constexpr const char* kClose[] = {"]", ")", "", "])", "])", "])"};
    const auto f = static_cast<size_t>(s.flavor);
    put(kOpen[f]);
    for (size_t i = 0; i < s.items.size(); ++i) {
      if (i) put(", ");
      repr(s.items[i], depth + 1);
    }
    if (s.flavor == Flavor::tuple && s.items.size() == 1) put(",");
    put(kClose[f]);
  }

  void dict(const Var& v, int depth) {
    put(v.is(Kind::space) ? "<Namespace {" : "{");
    bool first = true;
    for (const auto& [key, value] : v.dict_ref().items()) {
      if (!first) put(", ");
      first = false;
      repr(key, depth + 1);
      put(": ");
      repr(value, depth + 1);
    }
    put(v.is(Kind::space) ? "}>" : "}");
  }

  Budget& budget_;
  std::string out_;
};

class JsonPrinter {
 public:
  JsonPrinter(const JsonStyle& style, Budget& budget) : style_(style), budget_(budget) {}
  std::string take() { return std::move(out_); }

  void value(const Var& v, int depth) {
    Budget::depth(depth);
    budget_.step();
    switch (v.kind()) {
      case Kind::none:
        return put("null");
      case Kind::boolean:
        return put(v.as_bool() ? "true" : "false");
      case Kind::integer:
        return put(int_text(v.as_int()));
      case Kind::real:
        return put(number(v.as_real()));
      case Kind::string:
        return string(v.text());
      case Kind::sequence:
        return sequence(v.sequence().items, depth);
      case Kind::dict:
        return dict(v.dict_ref(), depth);
      default:
        fault("Object of type {} is not JSON serializable", type_name(v));
    }
  }

 private:
  static std::string number(double d) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
    return real_text(d);
  }
  void put(std::string_view s) {
    budget_.bytes(s.size());
    budget_.output(out_.size() + s.size());
    out_ += s;
  }
  void line(int depth) {
    if (!style_.indent) return;
    put("\n");
    for (int i = 0; i < depth; ++i) put(*style_.indent);
  }

  void escaped(int32_t code) {
    if (code >= 0x10000) {
      put(fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff)));
    } else {
      put(fmt::format("\\u{:04x}", code));
    }
  }

  void string(std::string_view text) {
    put("\"");
    for (size_t at = 0; at < text.size();) {
      const unicode::Decoded d = unicode::decode(text, at);
      static constexpr std::string_view kPlain = "\"\\\n\r\t\b\f", kLetters = "\"\\nrtbf";
      const size_t special = kPlain.find(text[at]);
      if (special != std::string_view::npos) {
        const char pair[] = {'\\', kLetters[special]};
        put({pair, 2});
      } else if (d.code >= 0 && (d.code < 0x20 || (style_.ensure_ascii && d.code > 0x7e))) {
        escaped(d.code);
      } else {
        put(text.substr(at, d.length));
      }
      at += d.length;
    }
    put("\"");
  }

  void sequence(const List& items, int depth) {
    if (items.empty()) return put("[]");
    put("[");
    for (size_t i = 0; i < items.size(); ++i) {
      if (i) put(style_.item_separator);
      line(depth + 1);
      value(items[i], depth + 1);
    }
    line(depth);
    put("]");
  }

  static std::string key_text(const Var& key) {
    switch (key.kind()) {
      case Kind::string:
        return key.text();
      case Kind::none:
        return "null";
      case Kind::boolean:
        return key.as_bool() ? "true" : "false";
      case Kind::integer:
        return int_text(key.as_int());
      case Kind::real:
        return number(key.as_real());
      default:
        fault("keys must be str, int, float, bool or None, not {}", type_name(key));
    }
  }

  void dict(Dict& d, int depth) {
    if (d.size() == 0) return put("{}");
    std::vector<std::pair<std::string, const Var*>> members;
    for (const auto& [key, v] : d.items()) members.emplace_back(key_text(key), &v);
    if (style_.sort_keys) merge_sort(members, [](const auto& a, const auto& b) { return a.first < b.first; });
    put("{");
    for (size_t i = 0; i < members.size(); ++i) {
      if (i) put(style_.item_separator);
      line(depth + 1);
      string(members[i].first);
      put(style_.key_separator);
      value(*members[i].second, depth + 1);
    }
    line(depth);
    put("}");
  }

  const JsonStyle& style_;
  Budget& budget_;
  std::string out_;
};

}  // namespace

std::string to_repr(const Var& v, Budget& budget) {
  Printer p(budget);
  p.repr(v, 0);
  return p.take();
}

std::string to_text(const Var& v, Budget& budget) {
  if (!v.is_string()) return to_repr(v, budget);
  budget.bytes(v.text().size());
  return v.text();
}

std::string to_json_text(const Var& v, const JsonStyle& style, Budget& budget) {
  JsonPrinter p(style, budget);
  p.value(v, 0);
  return p.take();
}

}  // namespace tenon::jinja
