// Python's two string formatters, as far as templates use them: '%s %d' and '{0:>5}'.
#include <algorithm>

#include "text/jinja/builtins.hpp"
#include "text/unicode.hpp"

namespace tenon::jinja {

namespace {

constexpr int64_t kMaxWidth = 10'000;

struct Spec {
  std::string fill = " ";
  char align = '\0', sign = '\0', type = '\0';
  bool alternate = false, comma = false;
  int64_t width = 0, precision = -1;
};

int64_t read_number(std::string_view s, size_t& at) {
  int64_t n = 0;
  while (at < s.size() && s[at] >= '0' && s[at] <= '9') {
    n = n * 10 + (s[at++] - '0');
    if (n > kMaxWidth) fault("format width or precision above {}", kMaxWidth);
  }
  return n;
}

std::string padded(const std::string& body, const Spec& spec, char default_align) {
  const auto have = static_cast<int64_t>(unicode::length(body));
  if (have >= spec.width) return body;
  const int64_t missing = spec.width - have;
  const char align = spec.align ? spec.align : default_align;
  const auto fill = [&](int64_t n) {
    std::string out;
    while (n-- > 0) out += spec.fill;
    return out;
  };
  if (align == '<') return body + fill(missing);
  if (align == '^') return fill(missing / 2) + body + fill(missing - missing / 2);
  const size_t sign = align == '=' && !body.empty() && (body[0] == '-' || body[0] == '+' || body[0] == ' ') ? 1 : 0;
  return body.substr(0, sign) + fill(missing) + body.substr(sign);
}

std::string with_commas(std::string digits) {
  const size_t end = std::min(digits.find_first_of(".e"), digits.size());
  for (size_t at = end; at > 3 && digits[at - 4] >= '0' && digits[at - 4] <= '9';) digits.insert(at -= 3, ",");
  return digits;
}

std::string integer_digits(Int i, const Spec& spec) {
  switch (spec.type) {
    case 'x':
      return (spec.alternate ? "0x" : "") + fmt::format("{:x}", i);
    case 'X':
      return (spec.alternate ? "0X" : "") + fmt::format("{:X}", i);
    case 'o':
      return (spec.alternate ? "0o" : "") + fmt::format("{:o}", i);
    case 'b':
      return (spec.alternate ? "0b" : "") + fmt::format("{:b}", i);
    default:
      return int_text(i);
  }
}

std::string real_digits(double d, const Spec& spec) {
  const int precision = static_cast<int>(spec.precision < 0 ? 6 : spec.precision);
  switch (spec.type) {
    case 'e':
      return fmt::format("{:.{}e}", d, precision);
    case 'E':
      return fmt::format("{:.{}E}", d, precision);
    case 'g':
      return fmt::format("{:.{}g}", d, precision);
    case 'G':
      return fmt::format("{:.{}G}", d, precision);
    case '%':
      return fmt::format("{:.{}f}%", d * 100, precision);
    case '\0':
      return spec.precision < 0 ? real_text(d) : fmt::format("{:.{}g}", d, precision);
    default:
      return fmt::format("{:.{}f}", d, precision);
  }
}

Int magnitude(Int i) {
  Int negated = 0;
  if (i >= 0) return i;
  if (__builtin_sub_overflow(Int{0}, i, &negated)) fault("integer is out of range");
  return negated;
}

std::string number(const Var& v, const Spec& spec) {
  const bool as_real =
      v.is(Kind::real) || (spec.type && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos);
  const bool negative = as_real ? v.as_real() < 0 : v.as_int() < 0;
  std::string digits =
      as_real ? real_digits(negative ? -v.as_real() : v.as_real(), spec) : integer_digits(magnitude(v.as_int()), spec);
  if (spec.comma) digits = with_commas(digits);
  if (negative) return "-" + digits;
  if (spec.sign == '+' || spec.sign == ' ') return std::string(1, spec.sign) + digits;
  return digits;
}

std::string cut(const std::string& text, int64_t code_points) {
  if (code_points < 0) return text;
  size_t at = 0;
  while (code_points-- > 0 && at < text.size()) at += unicode::decode(text, at).length;
  return text.substr(0, at);
}

std::string apply(Interp& interp, const Var& v, const Spec& spec) {
  if (v.is_number() && !(v.is(Kind::boolean) && !spec.type) && spec.type != 's')
    return padded(number(v, spec), spec, '>');
  if (spec.type && spec.type != 's') fault("Unknown format code '{}' for object of type '{}'", spec.type, type_name(v));
  return padded(cut(interp.text(v), spec.precision), spec, '<');
}

Spec parse_spec(std::string_view s) {
  Spec spec;
  size_t at = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  if (!s.empty()) {
    const size_t first = unicode::decode(s, 0).length;
    if (s.size() > first && is_align(s[first])) {
      spec.fill = s.substr(0, first);
      spec.align = s[first];
      at = first + 1;
    } else if (is_align(s[0])) {
      spec.align = s[0];
      at = 1;
    }
  }
  if (at < s.size() && (s[at] == '+' || s[at] == '-' || s[at] == ' ')) spec.sign = s[at++];
  if (at < s.size() && s[at] == '#') spec.alternate = ++at > 0;
  if (at < s.size() && s[at] == '0') {
    if (!spec.align) {
      spec.fill = "0";
      spec.align = '=';
    }
    ++at;
  }
  spec.width = read_number(s, at);
  if (at < s.size() && s[at] == ',') spec.comma = ++at > 0;
  if (at < s.size() && s[at] == '.') spec.precision = read_number(s, ++at);
  if (at < s.size()) spec.type = s[at++];
  if (at < s.size()) fault("Invalid format specifier '{}'", s);
  return spec;
}

// One conversion of a '%' format whose '%' is before `at`.
class Percent {
 public:
  Percent(Interp& interp, std::string_view format, const Var& arguments)
      : interp_(interp), format_(format), arguments_(arguments) {}

  std::string run() {
    std::string out;
    for (at_ = 0; at_ < format_.size();) {
      if (format_[at_] != '%') {
        out += format_[at_++];
        continue;
      }
      ++at_;
      out += conversion();
      interp_.budget().output(out.size());
    }
    const bool all = !arguments_.is_list(Flavor::tuple) ? used_ > 0 || arguments_.is(Kind::dict)
                                                        : used_ == arguments_.sequence().items.size();
    if (!all) fault("not all arguments converted during string formatting");
    interp_.budget().bytes(out.size());
    return out;
  }

 private:
  Var next() {
    if (arguments_.is_list(Flavor::tuple)) {
      if (used_ >= arguments_.sequence().items.size()) fault("not enough arguments for format string");
      return arguments_.sequence().items[used_++];
    }
    if (used_++ > 0) fault("not enough arguments for format string");
    return arguments_;
  }

  std::string conversion() {
    Var value;
    bool named = false;
    if (at_ < format_.size() && format_[at_] == '(') {
      const size_t end = format_.find(')', at_);
      if (end == std::string_view::npos) fault("incomplete format key");
      value = interp_.item(arguments_, Var::string(std::string(format_.substr(at_ + 1, end - at_ - 1))));
      named = true;
      at_ = end + 1;
    }
    Spec spec;
    spec.align = '>';
    for (; at_ < format_.size() && std::string_view("-+ #0").find(format_[at_]) != std::string_view::npos; ++at_) {
      if (format_[at_] == '-') spec.align = '<';
      if (format_[at_] == '+' || format_[at_] == ' ') spec.sign = format_[at_];
      if (format_[at_] == '#') spec.alternate = true;
      if (format_[at_] == '0' && spec.align != '<') {
        spec.fill = "0";
        spec.align = '=';
      }
    }
    spec.width = read_number(format_, at_);
    if (at_ < format_.size() && format_[at_] == '.') spec.precision = read_number(format_, ++at_);
    if (at_ >= format_.size()) fault("incomplete format");
    const char type = format_[at_++];
    if (type == '%') return "%";
    if (!named) value = next();
    return convert(type, value, spec);
  }

  std::string convert(char type, const Var& value, Spec spec) {
    if (type == 's' || type == 'r' || type == 'a')
      return padded(cut(type == 's' ? interp_.text(value) : to_repr(value, interp_.budget()), spec.precision), spec,
                    '>');
    if (type == 'c') return padded(interp_.text(value), spec, '>');
    if (std::string_view("diuxXoeEfFgG").find(type) == std::string_view::npos)
      fault("unsupported format character '{}'", type);
    if (!value.is_number()) fault("%{} format: a real number is required, not {}", type, type_name(value));
    spec.type = type;
    const bool integral = type == 'd' || type == 'i' || type == 'u';
    if (integral) spec.type = '\0';
    if (integral && value.is(Kind::real)) return padded(number(truncated(value.as_real()), spec), spec, '>');
    return padded(number(value, spec), spec, '>');
  }

  Interp& interp_;
  std::string_view format_;
  const Var& arguments_;
  size_t at_ = 0, used_ = 0;
};

// "0.name[key]" of a replacement field.
Var field_value(Interp& interp, std::string_view field, Args& args, size_t& automatic) {
  const size_t end = std::min(field.find_first_of(".["), field.size());
  const std::string head(field.substr(0, end));
  Var value;
  const bool index = head.empty() || std::all_of(head.begin(), head.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (index) {
    size_t at = 0;
    const size_t i = head.empty() ? automatic++ : static_cast<size_t>(read_number(head, at));
    if (i >= args.positional.size()) fault("Replacement index {} out of range for positional args tuple", i);
    value = args.positional[i];
  } else {
    const auto it = std::find_if(args.named.begin(), args.named.end(), [&](const auto& n) { return n.first == head; });
    if (it == args.named.end()) fault("KeyError: '{}'", head);
    value = it->second;
  }
  for (size_t at = end; at < field.size();) {
    if (field[at] == '.') {
      const size_t stop = std::min(field.find_first_of(".[", at + 1), field.size());
      value = interp.attribute(value, std::string(field.substr(at + 1, stop - at - 1)));
      at = stop;
    } else {
      const size_t stop = field.find(']', at);
      if (stop == std::string_view::npos) fault("Missing ']' in format string");
      const std::string key(field.substr(at + 1, stop - at - 1));
      const bool digits =
          !key.empty() && std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
      size_t zero = 0;
      value = interp.item(value, digits ? Var::integer(read_number(key, zero)) : Var::string(key));
      at = stop + 1;
    }
  }
  return value;
}

}  // namespace

std::string format_percent(Interp& interp, std::string_view format, const Var& arguments) {
  return Percent(interp, format, arguments).run();
}

std::string format_braces(Interp& interp, std::string_view format, Args& args) {
  std::string out;
  size_t automatic = 0;
  for (size_t at = 0; at < format.size();) {
    const char c = format[at];
    if ((c == '{' || c == '}') && at + 1 < format.size() && format[at + 1] == c) {
      out += c;
      at += 2;
      continue;
    }
    if (c == '}') fault("Single '}}' encountered in format string");
    if (c != '{') {
      out += c;
      ++at;
      continue;
    }
    const size_t end = format.find('}', at);
    if (end == std::string_view::npos) fault("expected '}}' before end of string");
    std::string_view field = format.substr(at + 1, end - at - 1), spec;
    if (const size_t colon = field.find(':'); colon != std::string_view::npos) {
      spec = field.substr(colon + 1);
      field = field.substr(0, colon);
    }
    const bool repr = field.size() >= 2 && field.substr(field.size() - 2) == "!r";
    if (const size_t bang = field.find('!'); bang != std::string_view::npos) field = field.substr(0, bang);
    Var value = field_value(interp, field, args, automatic);
    if (repr) value = Var::string(to_repr(value, interp.budget()));
    out += apply(interp, value, parse_spec(spec));
    interp.budget().output(out.size());
    at = end + 1;
  }
  interp.budget().bytes(out.size());
  return out;
}

}  // namespace tenon::jinja
