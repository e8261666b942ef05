#include "text/python_literal.hpp"

#include "base/error.hpp"
#include "base/value.hpp"
#include "text/unicode.hpp"

namespace tenon {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

class LiteralReader {
 public:
  LiteralReader(std::string_view inside, bool bytes, std::string_view place)
      : in_(inside), bytes_(bytes), place_(place) {}

  /// Up to `quote`, or to the end for 0.
  std::string read(char quote) {
    while (at_ < in_.size() && !(quote && in_[at_] == quote)) {
      const char c = in_[at_++];
      if (c == '\\')
        escape();
      else if (bytes_ && static_cast<unsigned char>(c) >= 0x80)
        refuse("a byte above 0x7f in a bytes literal");
      else
        out_ += c;
    }
    if (quote && at_ + 1 != in_.size()) refuse("no closing quote at its end");
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(const char* what) const {
    fail(ErrorCode::bad_model, "[{}] literal {}: {}", place_, in_quotes(in_), what);
  }

  void escape() {
    if (at_ == in_.size()) refuse("a lone backslash");
    const char c = in_[at_++];
    static constexpr std::string_view kLetters = "\\'\"abfnrtv", kValues = "\\'\"\a\b\f\n\r\t\v";
    if (const size_t i = kLetters.find(c); i != std::string_view::npos)
      out_ += kValues[i];
    else if (c == 'x')
      put(hex(2));
    else if (c == 'u' && !bytes_)
      put(hex(4));
    else if (c == 'U' && !bytes_)
      put(hex(8));
    else if (c >= '0' && c <= '7')
      octal(c - '0');
    else
      refuse("an unknown escape");
  }

  int64_t hex(int digits) {
    int64_t code = 0;
    for (int i = 0; i < digits; ++i) {
      const int digit = at_ < in_.size() ? hex_digit(in_[at_]) : -1;
      if (digit < 0) refuse("an escape with too few digits");
      code = code << 4 | digit;
      ++at_;
    }
    return code;
  }

  void octal(int64_t code) {
    for (int i = 0; i < 2 && at_ < in_.size() && in_[at_] >= '0' && in_[at_] <= '7'; ++i)
      code = code << 3 | (in_[at_++] - '0');
    put(code);
  }

  void put(int64_t code) {
    if (bytes_ ? code > 0xff : code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
      refuse("an escape that is no byte or no character");
    if (bytes_)
      out_ += static_cast<char>(code);
    else
      unicode::append(out_, static_cast<int32_t>(code));
  }

  std::string_view in_;
  bool bytes_;
  std::string_view place_;
  size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string python_literal(std::string_view literal, std::string_view place) {
  const bool bytes = !literal.empty() && (literal[0] == 'b' || literal[0] == 'B');
  const std::string_view rest = literal.substr(bytes ? 1 : 0);
  if (rest.size() < 2 || (rest[0] != '\'' && rest[0] != '"'))
    fail(ErrorCode::bad_model, "[{}] {} is no str or bytes literal", place, in_quotes(literal));
  if (!is_utf8(rest)) fail(ErrorCode::bad_model, "[{}] literal {} is no UTF-8", place, in_quotes(literal));
  return LiteralReader(rest.substr(1), bytes, place).read(rest[0]);
}

std::string python_bytes(std::string_view inside, std::string_view place) {
  return LiteralReader(inside, true, place).read(0);
}

}  // namespace tenon
