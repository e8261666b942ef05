// Arithmetic with Python's meaning: exact integers (to 127 bits), true division, floor division and modulo towards
// -inf.
#include <cmath>

#include "text/jinja/builtins.hpp"

namespace tenon::jinja {

std::string escaped_html(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

namespace {

[[noreturn]] void unsupported(const std::string& op, const Var& a, const Var& b) {
  if (a.is_undefined()) fault("{}", a.undefined_message());
  if (b.is_undefined()) fault("{}", b.undefined_message());
  if (op == "+" && a.is_string()) fault("can only concatenate str (not \"{}\") to str", type_name(b));
  fault("unsupported operand type(s) for {}: '{}' and '{}'", op, type_name(a), type_name(b));
}

Int floor_div(Int a, Int b) {
  const Int q = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

Var int_power(Int base, Int exponent) {
  if (exponent < 0) return Var::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  Int result = 1;
  if (base == 0 || base == 1) return Var::integer(exponent == 0 ? 1 : base);
  if (base == -1) return Var::integer(exponent % 2 == 0 ? 1 : -1);
  for (Int i = 0; i < exponent; ++i)
    if (__builtin_mul_overflow(result, base, &result)) fault("integer result is out of range");
  return Var::integer(result);
}

Var integers(const std::string& op, Int a, Int b) {
  Int r = 0;
  bool overflow = false;
  if (op == "+") overflow = __builtin_add_overflow(a, b, &r);
  if (op == "-") overflow = __builtin_sub_overflow(a, b, &r);
  if (op == "*") overflow = __builtin_mul_overflow(a, b, &r);
  if (op == "**") return int_power(a, b);
  if (op == "/" || op == "//" || op == "%") {
    if (b == 0) fault("division by zero");
    if (op == "/") return Var::real(static_cast<double>(a) / static_cast<double>(b));
    if (b == -1)
      overflow = op == "//" && __builtin_sub_overflow(Int{0}, a, &r);
    else
      r = op == "//" ? floor_div(a, b) : a - floor_div(a, b) * b;
  }
  if (overflow) fault("integer result is out of range");
  return Var::integer(r);
}

Var reals(const std::string& op, double a, double b) {
  if (op == "+") return Var::real(a + b);
  if (op == "-") return Var::real(a - b);
  if (op == "*") return Var::real(a * b);
  if (op == "**") return Var::real(std::pow(a, b));
  if (b == 0) fault("float division by zero");
  if (op == "/") return Var::real(a / b);
  if (op == "//") return Var::real(std::floor(a / b));
  const double m = std::fmod(a, b);
  return Var::real(m != 0 && (m < 0) != (b < 0) ? m + b : m);
}

Var repeat(Interp& interp, const Var& v, Int times) {
  const size_t n = times <= 0 ? 0 : static_cast<size_t>(std::min<Int>(times, Int{1} << 40));
  const size_t unit = v.is_string() ? v.text().size() : v.sequence().items.size() * sizeof(Var);
  if (unit > 0 && n > Budget::kMaxOutput * 2 / unit) fault("a value repeated {} times is too large", n);
  interp.budget().bytes(unit * n);
  if (v.is_string()) {
    std::string out;
    for (size_t i = 0; i < n && unit > 0; ++i) out += v.text();
    if (wholly_trusted(v)) return Var::trusted(std::move(out));
    return Var::string(std::move(out), v.markup());
  }
  List out;
  for (size_t i = 0; i < n && unit > 0; ++i)
    out.insert(out.end(), v.sequence().items.begin(), v.sequence().items.end());
  return Var::list(std::move(out), v.sequence().flavor);
}

Var add_strings(Interp& interp, const Var& a, const Var& b) {
  interp.budget().bytes(a.text().size() + b.text().size());
  if (a.markup() == b.markup()) {
    MarkedText both;
    both.append(a.text(), a.trusted_spans());
    both.append(b.text(), b.trusted_spans());
    return Var::string(std::move(both), a.markup());
  }
  return Var::string(
      (a.markup() ? a.text() : escaped_html(a.text())) + (b.markup() ? b.text() : escaped_html(b.text())), true);
}

}  // namespace

Var arithmetic(Interp& interp, const std::string& op, const Var& a, const Var& b) {
  if (a.is_integral() && b.is_integral()) return integers(op, a.as_int(), b.as_int());
  if (a.is_number() && b.is_number()) return reals(op, a.as_real(), b.as_real());
  if (op == "+" && a.is_string() && b.is_string()) return add_strings(interp, a, b);
  if (op == "+" && a.is(Kind::sequence) && b.is(Kind::sequence) && a.sequence().flavor == b.sequence().flavor) {
    List out = interp.iterate(a);
    for (Var& v : interp.iterate(b)) out.push_back(std::move(v));
    return Var::list(std::move(out), a.sequence().flavor);
  }
  const auto repeatable = [](const Var& v) {
    return v.is_string() || v.is_list(Flavor::list) || v.is_list(Flavor::tuple);
  };
  if (op == "*" && repeatable(a) && b.is_integral()) return repeat(interp, a, b.as_int());
  if (op == "*" && repeatable(b) && a.is_integral()) return repeat(interp, b, a.as_int());
  if (op == "%" && a.is_string()) {
    Var out = Var::string(format_percent(interp, a.text(), b), a.markup());
    return with_origin("%", a, wholly_trusted(a) && wholly_trusted(b), std::move(out));
  }
  unsupported(op, a, b);
}

}  // namespace tenon::jinja
