// Written from Jinja's documentation of its syntax and white-space control.
#include "text/jinja/lexer.hpp"

#include <algorithm>
#include <array>

#include "text/jinja/budget.hpp"
#include "text/unicode.hpp"

namespace tenon::jinja {

namespace {

constexpr size_t kMaxSource = size_t{4} << 20;

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool starts_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80); }

std::string with_plain_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : s_(std::move(source)) {}

  std::vector<Token> run() {
    while (at_ < s_.size()) data();
    push(TokenType::end, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void stop(std::string message) const { throw Fault{std::move(message), line_}; }
  void push(TokenType type, std::string text) { tokens_.push_back({type, std::move(text), line_}); }
  bool looking_at(std::string_view text) const { return s_.compare(at_, text.size(), text) == 0; }
  void advance(size_t n) {
    line_ += static_cast<int>(
        std::count(s_.begin() + static_cast<ptrdiff_t>(at_), s_.begin() + static_cast<ptrdiff_t>(at_ + n), '\n'));
    at_ += n;
  }
  void skip_blank() {
    size_t n = 0;
    while (at_ + n < s_.size() && is_blank(s_[at_ + n])) ++n;
    advance(n);
  }

  size_t next_opening() const {
    for (size_t i = s_.find('{', at_); i != std::string::npos; i = s_.find('{', i + 1))
      if (i + 1 < s_.size() && (s_[i + 1] == '{' || s_[i + 1] == '%' || s_[i + 1] == '#')) return i;
    return std::string::npos;
  }

  // The text before a delimiter, after the delimiter's sign has taken what it strips.
  void push_data(size_t end, char sign, bool variable) {
    std::string_view text(s_.data() + at_, end - at_);
    if (sign == '-') {
      while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    } else if (sign != '+' && !variable) {
      const size_t newline = text.rfind('\n');
      const size_t start = newline == std::string_view::npos ? 0 : newline + 1;
      const bool at_line_start = newline != std::string_view::npos || line_starts_;
      if (at_line_start && std::all_of(text.begin() + static_cast<ptrdiff_t>(start), text.end(), is_blank))
        text = text.substr(0, start);
    }
    if (!text.empty()) push(TokenType::data, std::string(text));
    advance(end - at_);
  }

  void data() {
    const size_t open = next_opening();
    if (open == std::string::npos) {
      push(TokenType::data, s_.substr(at_));
      advance(s_.size() - at_);
      return;
    }
    const char kind = s_[open + 1];
    const char sign = open + 2 < s_.size() && (s_[open + 2] == '-' || s_[open + 2] == '+') ? s_[open + 2] : '\0';
    push_data(open, sign, kind == '{');
    advance(sign ? 3 : 2);
    if (kind == '#') return comment();
    if (kind == '%' && raw()) return;
    push(kind == '{' ? TokenType::variable_begin : TokenType::block_begin, "");
    words(kind == '{' ? "}}" : "%}", kind == '{');
  }

  // Ends a block or comment at `at_`, which looks at an optional sign and the delimiter.
  void close_block(size_t delimiter) {
    const char sign = s_[at_] == '-' || s_[at_] == '+' ? s_[at_] : '\0';
    advance(delimiter + (sign ? 1 : 0));
    if (sign == '-')
      skip_blank();
    else if (sign != '+' && at_ < s_.size() && s_[at_] == '\n')
      advance(1);
    line_starts_ = at_ > 0 && s_[at_ - 1] == '\n';
  }

  void comment() {
    const size_t end = s_.find("#}", at_);
    if (end == std::string::npos) stop("Missing end of comment tag");
    const size_t sign = end > at_ && (s_[end - 1] == '-' || s_[end - 1] == '+') ? 1 : 0;
    advance(end - sign - at_);
    close_block(2);
  }

  // {% raw %}...{% endraw %}: called behind the opening delimiter; returns false when the block is another one.
  bool raw() {
    size_t i = at_;
    while (i < s_.size() && is_blank(s_[i])) ++i;
    if (s_.compare(i, 3, "raw") != 0) return false;
    i += 3;
    while (i < s_.size() && is_blank(s_[i])) ++i;
    const bool strips = i < s_.size() && s_[i] == '-';
    if (s_.compare(i + (strips ? 1 : 0), 2, "%}") != 0) return false;
    advance(i + (strips ? 3 : 2) - at_);
    if (strips) skip_blank();
    line_starts_ = false;
    for (size_t open = s_.find("{%", at_); open != std::string::npos; open = s_.find("{%", open + 2)) {
      size_t j = open + 2;
      const char sign = j < s_.size() && (s_[j] == '-' || s_[j] == '+') ? s_[j++] : '\0';
      while (j < s_.size() && is_blank(s_[j])) ++j;
      if (s_.compare(j, 6, "endraw") != 0) continue;
      j += 6;
      while (j < s_.size() && is_blank(s_[j])) ++j;
      const size_t signs = j < s_.size() && (s_[j] == '-' || s_[j] == '+') ? 1 : 0;
      if (s_.compare(j + signs, 2, "%}") != 0) continue;
      push_data(open, sign, false);
      advance(j - at_);
      close_block(2);
      return true;
    }
    stop("Missing end of raw directive");
  }

  void words(std::string_view close, bool variable) {
    std::string open_brackets;
    while (true) {
      skip_blank();
      if (at_ >= s_.size()) return;  // the parser says what was expected
      if (open_brackets.empty()) {
        const size_t sign = s_[at_] == '-' || (!variable && s_[at_] == '+') ? 1 : 0;
        if (s_.compare(at_ + sign, 2, close) == 0) {
          push(variable ? TokenType::variable_end : TokenType::block_end, "");
          if (!variable) return close_block(2);
          advance(2 + sign);
          if (sign) skip_blank();
          line_starts_ = sign && at_ > 0 && s_[at_ - 1] == '\n';
          return;
        }
      }
      word(open_brackets);
    }
  }

  void word(std::string& open_brackets) {
    const char c = s_[at_];
    if (is_digit(c)) return number();
    if (starts_name(c)) return name();
    if (c == '"' || c == '\'') return string(c);
    static constexpr std::array<std::string_view, 7> kDouble = {"//", "**", "==", "!=", ">=", "<=", ""};
    for (std::string_view op : kDouble)
      if (!op.empty() && looking_at(op)) {
        push(TokenType::op, std::string(op));
        return advance(2);
      }
    if (std::string_view("+-/*%~[](){}<>=.:|,;").find(c) == std::string_view::npos)
      stop(fmt::format("unexpected char '{}' at {}", c, at_));
    if (c == '(' || c == '[' || c == '{') open_brackets += c;
    if (c == ')' || c == ']' || c == '}') {
      const char expected = c == ')' ? '(' : c == ']' ? '[' : '{';
      if (open_brackets.empty()) stop(fmt::format("unexpected '{}'", c));
      if (open_brackets.back() != expected) stop(fmt::format("unexpected '{}'", c));
      open_brackets.pop_back();
    }
    push(TokenType::op, std::string(1, c));
    advance(1);
  }

  void name() {
    size_t end = at_;
    while (end < s_.size() && (starts_name(s_[end]) || is_digit(s_[end]))) ++end;
    push(TokenType::name, s_.substr(at_, end - at_));
    advance(end - at_);
  }

  size_t digits(size_t i, bool (*accept)(char)) const {
    while (i < s_.size() && (accept(s_[i]) || (s_[i] == '_' && i + 1 < s_.size() && accept(s_[i + 1])))) ++i;
    return i;
  }

  void number() {
    size_t end = at_;
    bool real = false;
    const char radix = s_[at_] == '0' && at_ + 1 < s_.size() ? static_cast<char>(s_[at_ + 1] | 0x20) : '\0';
    if (radix == 'x' || radix == 'o' || radix == 'b') {
      end = digits(at_ + 2, [](char c) { return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); });
    } else {
      end = digits(at_, is_digit);
      if (end + 1 < s_.size() && s_[end] == '.' && is_digit(s_[end + 1])) {
        real = true;
        end = digits(end + 1, is_digit);
      }
      size_t e = end + 1;
      if (end < s_.size() && (s_[end] | 0x20) == 'e') {
        if (e < s_.size() && (s_[e] == '+' || s_[e] == '-')) ++e;
        if (e < s_.size() && is_digit(s_[e])) {
          real = true;
          end = digits(e, is_digit);
        }
      }
    }
    std::string text = s_.substr(at_, end - at_);
    std::erase(text, '_');
    push(real ? TokenType::real : TokenType::integer, std::move(text));
    advance(end - at_);
  }

  int32_t hex(size_t at, size_t n) const {
    uint32_t value = 0;
    for (size_t i = 0; i < n; ++i) {
      const char c = at + i < s_.size() ? s_[at + i] : '\0';
      const int lower = c | 0x20;
      if (!is_digit(c) && !(lower >= 'a' && lower <= 'f')) stop("truncated escape in a string");
      value = value * 16 + static_cast<uint32_t>(is_digit(c) ? c - '0' : lower - 'a' + 10);
    }
    return static_cast<int32_t>(value);
  }

  // One escape whose backslash is at `i`; returns how many bytes it took.
  size_t escape(size_t i, std::string& out) const {
    static constexpr std::string_view kFrom = "nrtabfv\\'\"", kTo = "\n\r\t\a\b\f\v\\'\"";
    const char c = s_[i + 1];
    if (c == '\n') return 2;
    if (const size_t k = kFrom.find(c); k != std::string_view::npos) {
      out += kTo[k];
      return 2;
    }
    const size_t n = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (n > 0) {
      int32_t code = hex(i + 2, n);
      size_t used = n + 2;
      const bool high = code >= 0xd800 && code < 0xdc00;
      if (high && s_.compare(i + used, 2, "\\u") == 0) {
        const int32_t low = hex(i + used + 2, 4);
        if (low >= 0xdc00 && low < 0xe000) {
          code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          used += 6;
        }
      }
      if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) code = 0xfffd;
      unicode::append(out, code);
      return used;
    }
    if (c >= '0' && c <= '7') {
      size_t used = 1;
      int32_t code = 0;
      while (used < 4 && i + used < s_.size() && s_[i + used] >= '0' && s_[i + used] <= '7')
        code = code * 8 + (s_[i + used++] - '0');
      unicode::append(out, code);
      return used;
    }
    (out += '\\') += c;
    return 2;
  }

  void string(char quote) {
    std::string value;
    size_t i = at_ + 1;
    while (i < s_.size() && s_[i] != quote) {
      if (s_[i] == '\\' && i + 1 < s_.size())
        i += escape(i, value);
      else
        value += s_[i++];
    }
    if (i >= s_.size()) stop("unclosed string");
    push(TokenType::string, std::move(value));
    advance(i + 1 - at_);
  }

  std::string s_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starts_ = true;  // the text at `at_` is at the start of a line
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  if (source.size() > kMaxSource) fault("{} bytes are more than {}", source.size(), kMaxSource);
  return Lexer(with_plain_newlines(source)).run();
}

}  // namespace tenon::jinja
