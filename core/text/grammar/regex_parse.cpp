#include "text/grammar/regex_parse.hpp"

#include <string>

#include "base/error.hpp"
#include "text/unicode.hpp"

namespace tenon::grammar {
namespace {

constexpr size_t kMaxPattern = size_t{64} << 10;
constexpr int kMaxDepth = 250;
constexpr uint32_t kMaxCount = 10000;

const CharSet kDigit{{'0', '9'}}, kWord{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
// WhiteSpace and LineTerminator of ECMA-262.
const CharSet kSpace{{9, 13},          {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
                     {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const CharSet kNewline{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

class Parser {
 public:
  explicit Parser(std::string_view pattern) : text_(pattern) {
    if (pattern.size() > kMaxPattern)
      fail(ErrorCode::capacity, "[regex] {} bytes, more than {}", pattern.size(), kMaxPattern);
  }

  Regex parse() {
    Regex out = alternatives(0);
    if (at_ < text_.size()) broken("')' without '('");
    return out;
  }

 private:
  struct Flags {
    bool any_case = false, dot_all = false;
  };

  [[noreturn]] void broken(std::string_view what) const { fail(ErrorCode::usage, "[regex] {} at byte {}", what, at_); }
  [[noreturn]] void unsupported(std::string_view what) const {
    fail(ErrorCode::unsupported, "[regex] {} at byte {} cannot be enforced", what, at_);
  }

  bool more() const { return at_ < text_.size(); }
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool take(std::string_view what) {
    if (text_.substr(at_, what.size()) != what) return false;
    at_ += what.size();
    return true;
  }

  int32_t character() {
    if (!more()) broken("the pattern ends");
    const unicode::Decoded d = unicode::decode(text_, at_);
    if (d.code < 0) broken("no UTF-8");
    at_ += d.length;
    return d.code;
  }

  Regex of_set(CharSet set) const { return {Regex::Kind::set, flags_.any_case ? set.any_case() : std::move(set)}; }
  Regex of_character(int32_t code) const { return of_set(CharSet{{code, code}}); }

  Regex alternatives(int depth) {
    if (depth > kMaxDepth) fail(ErrorCode::capacity, "[regex] groups nested deeper than {}", kMaxDepth);
    const Flags before = flags_;
    std::vector<Regex> options;
    do options.push_back(sequence(depth));
    while (take("|"));
    flags_ = before;
    if (options.size() == 1) return std::move(options[0]);
    return {Regex::Kind::either, {}, std::move(options)};
  }

  Regex sequence(int depth) {
    Regex out;
    while (more() && peek() != '|' && peek() != ')') {
      Regex item = atom(depth);
      if (const auto kind = item.kind; kind == Regex::Kind::concat && item.parts.empty() && !quantified()) continue;
      out.parts.push_back(quantify(std::move(item)));
    }
    return out;
  }

  bool quantified() const { return more() && std::string_view("*+?{").find(peek()) != std::string_view::npos; }

  Regex quantify(Regex item) {
    for (int n = 0;; ++n) {
      uint32_t min = 0, max = 0;
      if (!quantifier(min, max)) return item;
      if (n > 0) broken("a second quantifier");
      if (item.kind >= Regex::Kind::begin) broken("a quantifier without anything to repeat");
      item = {Regex::Kind::repeat, {}, {std::move(item)}, min, max};
      if (take("?")) continue;  // lazy: the same texts
      if (peek() == '+') unsupported("a possessive quantifier");
    }
  }

  bool quantifier(uint32_t& min, uint32_t& max) {
    max = Regex::kNoEnd;
    if (take("*")) return min = 0, true;
    if (take("+")) return min = 1, true;
    if (take("?")) return min = 0, max = 1, true;
    return peek() == '{' && braces(min, max);
  }

  /// {m}, {m,}, {m,n}; anything else in braces is text.
  bool braces(uint32_t& min, uint32_t& max) {
    const size_t start = at_++;
    const bool has_min = number(min);
    if (!has_min) min = 0;
    max = min;
    bool valid = has_min;
    if (take(",")) {
      max = Regex::kNoEnd;
      valid = number(max) || has_min;
    }
    if (!valid || !take("}")) return at_ = start, false;
    if (max < min) broken("a repetition whose least count is above its greatest");
    return true;
  }

  bool number(uint32_t& out) {
    if (peek() < '0' || peek() > '9') return false;
    uint64_t n = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_)
      n = std::min<uint64_t>(n * 10 + static_cast<uint64_t>(peek() - '0'), 1u << 30);
    if (n > kMaxCount) fail(ErrorCode::capacity, "[regex] {} repetitions at byte {}, more than {}", n, at_, kMaxCount);
    out = static_cast<uint32_t>(n);
    return true;
  }

  Regex atom(int depth) {
    switch (peek()) {
      case '(':
        ++at_;
        return group(depth);
      case '[':
        ++at_;
        return of_set(char_class());
      case '.':
        ++at_;
        return {Regex::Kind::set, flags_.dot_all ? CharSet::all() : kNewline.inverted()};
      case '^':
        ++at_;
        return {Regex::Kind::begin};
      case '$':
        ++at_;
        return {Regex::Kind::end};
      case '\\':
        ++at_;
        return escape();
      case '*':
      case '+':
      case '?':
        broken("a quantifier without anything to repeat");
      default:
        return of_character(character());
    }
  }

  Regex group(int depth) {
    Regex::Kind kind = Regex::Kind::concat;
    const Flags outer = flags_;
    if (take("?=")) {
      kind = Regex::Kind::ahead;
    } else if (take("?!")) {
      kind = Regex::Kind::no_ahead;
    } else if (peek() == '?') {
      if (take("?<=") || take("?<!")) unsupported("a look-behind");
      if (take("?>")) unsupported("an atomic group");
      if (take("?P=")) unsupported("a back-reference");
      if (take("?P<") || take("?<"))
        name();
      else if (!take("?:") && !flags())
        return {};  // flags for what follows
    }
    Regex inner = alternatives(depth + 1);
    flags_ = outer;
    if (!take(")")) broken("a group without ')'");
    if (kind == Regex::Kind::concat) return inner;
    return {kind, {}, {std::move(inner)}};
  }

  void name() {
    const size_t end = text_.find('>', at_);
    if (end == std::string_view::npos || end == at_) broken("a group name without '>'");
    at_ = end + 1;
  }

  /// (?ims) for the rest of the group, or (?i:...) for its own; true for the latter.
  bool flags() {
    for (++at_; more() && peek() != ')' && peek() != ':'; ++at_) {
      if (peek() == 'i')
        flags_.any_case = true;
      else if (peek() == 's')
        flags_.dot_all = true;
      else if (peek() != 'u')
        unsupported(std::string("the group flag '") + peek() + "'");
    }
    if (take(")")) return false;
    if (!take(":")) broken("group flags without ')'");
    return true;
  }

  Regex escape() {
    const char c = peek();
    if (c == 'b' || c == 'B') return ++at_, Regex{c == 'b' ? Regex::Kind::word : Regex::Kind::no_word};
    if (take("A")) return {Regex::Kind::begin};
    if (take("z") || take("Z")) return {Regex::Kind::end};
    if ((c >= '1' && c <= '9') || c == 'k') unsupported("a back-reference");
    if (const auto set = class_escape()) return of_set(*set);
    return of_character(character_escape());
  }

  std::optional<CharSet> class_escape() {
    const char c = peek();
    const CharSet* known = c == 'd' || c == 'D'   ? &kDigit
                           : c == 'w' || c == 'W' ? &kWord
                           : c == 's' || c == 'S' ? &kSpace
                                                  : nullptr;
    if (known) return ++at_, c < 'a' ? known->inverted() : *known;
    if (c != 'p' && c != 'P') return std::nullopt;
    ++at_;
    std::string_view name = text_.substr(at_, 1);
    if (take("{")) {
      const size_t end = text_.find('}', at_);
      if (end == std::string_view::npos) broken("\\p{ without '}'");
      name = text_.substr(at_, end - at_);
      at_ = end;
    }
    ++at_;
    for (const std::string_view prefix : {"General_Category=", "gc="})
      if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
    const auto set = CharSet::property(name);
    if (!set) unsupported("the property \\p{" + std::string(name.substr(0, 60)) + "}");
    return c == 'P' ? set->inverted() : *set;
  }

  int32_t character_escape() {
    static constexpr std::pair<char, int32_t> kNamed[] = {{'n', '\n'}, {'r', '\r'}, {'t', '\t'}, {'f', '\f'},
                                                          {'v', '\v'}, {'a', '\a'}, {'0', 0},    {'e', 27}};
    for (const auto& [letter, code] : kNamed)
      if (peek() == letter && more()) return ++at_, code;
    if (take("x")) return peek() == '{' ? braced_hex() : hex(2);
    if (take("u")) return peek() == '{' ? braced_hex() : unit();
    if (take("c")) return character() & 31;
    const char c = peek();
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) unsupported(std::string("the escape \\") + c);
    return character();
  }

  int32_t hex(int digits) {
    int32_t code = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const char c = peek();
      const int v = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
      if (v < 0) broken("no hexadecimal digit");
      code = code << 4 | v;
    }
    return code;
  }

  int32_t braced_hex() {
    const size_t end = text_.find('}', ++at_);
    if (end == std::string_view::npos || end == at_ || end - at_ > 6) broken("no code point in braces");
    const int32_t code = hex(static_cast<int>(end - at_));
    ++at_;
    if (code > CharSet::kLast || (code >= 0xD800 && code <= 0xDFFF)) broken("no code point in braces");
    return code;
  }

  int32_t unit() {
    const int32_t high = hex(4);
    if (high < 0xD800 || high > 0xDFFF) return high;
    if (high > 0xDBFF || !take("\\u")) broken("half a surrogate pair");
    const int32_t low = hex(4);
    if (low < 0xDC00 || low > 0xDFFF) broken("half a surrogate pair");
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
  }

  CharSet char_class() {
    const bool inverted = take("^");
    CharSet out;
    for (bool first = true;; first = false) {
      if (!more()) broken("a class without ']'");
      if (peek() == ']' && !first) break;
      if (peek() == ']' && text_.find(']', at_ + 1) == std::string_view::npos) break;
      if (peek() == '[' && (peek(1) == ':' || peek(1) == '=' || peek(1) == '.')) unsupported("a POSIX class");
      if ((peek() == '&' && peek(1) == '&') || (peek() == '-' && peek(1) == '-'))
        unsupported("an operation on classes");
      class_item(out);
    }
    ++at_;
    return inverted ? (flags_.any_case ? out.any_case() : out).inverted() : out;
  }

  void class_item(CharSet& out) {
    int32_t first = 0;
    if (!class_character(first, out)) return;
    if (peek() != '-' || peek(1) == ']' || peek(1) == '\0') return out.add(first, first);
    ++at_;
    int32_t last = 0;
    if (!class_character(last, out)) {  // a class after the dash: both are themselves
      out.add(first, first);
      return out.add('-', '-');
    }
    if (last < first) broken("a range whose first character is above its last");
    out.add(first, last);
  }

  bool class_character(int32_t& code, CharSet& out) {
    if (!take("\\")) return code = character(), true;
    if (const auto set = class_escape()) return out.add(*set), false;
    code = take("b") ? '\b' : character_escape();
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
  Flags flags_;
};

}  // namespace

Regex parse_regex(std::string_view pattern) { return Parser(pattern).parse(); }

}  // namespace tenon::grammar
