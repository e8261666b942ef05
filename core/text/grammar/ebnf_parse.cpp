#include "text/grammar/ebnf_parse.hpp"

#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "text/unicode.hpp"

namespace tenon::grammar {
namespace {

using Kind = EbnfTree::Kind;

constexpr size_t kMaxText = size_t{1} << 20;
constexpr int kMaxDepth = 250;
constexpr uint32_t kMaxCount = 10000;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {
    if (text.size() > kMaxText) fail(ErrorCode::capacity, "[grammar] {} bytes, more than {}", text.size(), kMaxText);
  }

  EbnfRules parse() {
    for (skip_space(); more(); skip_space()) rule();
    if (out_.names.empty()) broken("no rule");
    for (uint32_t i = 0; i < defined_.size(); ++i)
      if (!defined_[i]) {
        at_ = first_use_[i];
        broken("rule '" + out_.names[i] + "' is not defined");
      }
    const auto root = numbers_.find("root");
    if (root == numbers_.end()) broken("no rule 'root'");
    out_.root = root->second;
    return std::move(out_);
  }

 private:
  [[noreturn]] void broken(const std::string& what) const { stop(ErrorCode::usage, what); }
  [[noreturn]] void stop(ErrorCode code, const std::string& what) const {
    const std::string_view before = text_.substr(0, at_);
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const size_t start = before.rfind('\n') + 1;  // npos + 1 is 0
    fail(code, "[grammar] line {}, column {}: {}", line, unicode::length(before.substr(start)) + 1, what);
  }

  bool more() const { return at_ < text_.size(); }
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool take(std::string_view what) {
    if (text_.substr(at_, what.size()) != what) return false;
    at_ += what.size();
    return true;
  }
  void skip_space() {
    for (; more(); ++at_) {
      if (peek() == '#')
        at_ = std::min(text_.find('\n', at_), text_.size() - 1);
      else if (std::string_view(" \t\r\n").find(peek()) == std::string_view::npos)
        return;
    }
  }

  static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  }
  std::string_view name() {
    const size_t start = at_;
    while (more() && is_name(peek())) ++at_;
    return text_.substr(start, at_ - start);
  }
  /// True where a rule begins: lines may break anywhere within one.
  bool at_rule() {
    const size_t start = at_;
    const bool named = !name().empty();
    skip_space();
    const bool found = named && text_.substr(at_, 3) == "::=";
    at_ = start;
    return found;
  }

  uint32_t number(std::string_view rule) {
    const auto [it, added] = numbers_.try_emplace(std::string(rule), static_cast<uint32_t>(out_.names.size()));
    if (added) {
      out_.names.emplace_back(rule);
      out_.trees.emplace_back();
      defined_.push_back(false);
      first_use_.push_back(at_ - rule.size());
    }
    return it->second;
  }

  void rule() {
    if (!at_rule()) broken("expected a rule: name ::= ...");
    const size_t start = at_;
    const uint32_t id = number(name());
    if (defined_[id]) {
      at_ = start;
      broken("rule '" + out_.names[id] + "' is defined twice");
    }
    defined_[id] = true;
    skip_space();
    take("::=");
    EbnfTree tree = alternatives(0);
    out_.trees[id] = std::move(tree);
  }

  EbnfTree alternatives(int depth) {
    if (depth > kMaxDepth) stop(ErrorCode::capacity, "groups nested deeper than " + std::to_string(kMaxDepth));
    EbnfTree out{Kind::either};
    do out.parts.push_back(sequence(depth));
    while (take("|"));
    return out.parts.size() == 1 ? std::move(out.parts[0]) : std::move(out);
  }

  EbnfTree sequence(int depth) {
    EbnfTree out;
    for (skip_space(); more() && peek() != '|' && peek() != ')' && !at_rule(); skip_space()) {
      EbnfTree item = atom(depth);
      skip_space();
      out.parts.push_back(repeated(std::move(item)));
    }
    return out;
  }

  EbnfTree atom(int depth) {
    const char c = peek();
    if (c == '"' || c == '\'') return literal(c);
    if (c == '[') return {Kind::set, char_class()};
    if (take(".")) return {Kind::set, CharSet::all()};
    if (c == '<' || (c == '!' && peek(1) == '<'))
      stop(ErrorCode::unsupported, "tokens by name or id cannot be enforced");
    if (take("(")) {
      if (peek() == '=') stop(ErrorCode::unsupported, "a look-ahead cannot be enforced");
      EbnfTree inner = alternatives(depth + 1);
      if (!take(")")) broken("expected ')'");
      return inner;
    }
    if (!is_name(c)) broken("expected a literal, a class, a group or the name of a rule");
    EbnfTree out{Kind::rule};
    const std::string_view rule = name();
    out.rule = number(rule);
    return out;
  }

  EbnfTree repeated(EbnfTree item) {
    for (;;) {
      uint32_t min = 0, max = EbnfTree::kNoEnd;
      if (take("+"))
        min = 1;
      else if (take("?"))
        max = 1;
      else if (take("{"))
        counts(min, max);
      else if (!take("*"))
        return item;
      EbnfTree out{Kind::repeat};
      out.parts.push_back(std::move(item));
      out.min = min;
      out.max = max;
      item = std::move(out);
      skip_space();
    }
  }

  void counts(uint32_t& min, uint32_t& max) {
    skip_space();
    const bool has_min = count(min);
    skip_space();
    if (take(",")) {
      skip_space();
      if (!count(max) && !has_min) broken("expected a number of repetitions");
    } else if (has_min) {
      max = min;
    } else {
      broken("expected a number of repetitions");
    }
    skip_space();
    if (!take("}")) broken("expected '}'");
    if (max < min) broken("the least number of repetitions is above the greatest");
  }

  bool count(uint32_t& out) {
    if (peek() < '0' || peek() > '9') return false;
    uint64_t n = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_)
      n = std::min<uint64_t>(n * 10 + static_cast<uint64_t>(peek() - '0'), 1u << 30);
    if (n > kMaxCount)
      stop(ErrorCode::capacity, std::to_string(n) + " repetitions, more than " + std::to_string(kMaxCount));
    out = static_cast<uint32_t>(n);
    return true;
  }

  EbnfTree literal(char quote) {
    EbnfTree out;
    for (++at_; !take(std::string_view(&quote, 1));) {
      const int32_t code = character("a literal without its closing quote");
      out.parts.push_back({Kind::set, CharSet{{code, code}}});
    }
    return out;
  }

  CharSet char_class() {
    ++at_;
    const bool inverted = take("^");
    CharSet out;
    while (!take("]")) {
      const int32_t first = character("a class without ']'");
      int32_t last = first;
      if (peek() == '-' && peek(1) != ']') {
        ++at_;
        last = character("a class without ']'");
        if (last < first) broken("a range whose first character is above its last");
      }
      out.add(first, last);
    }
    return inverted ? out.inverted() : out;
  }

  int32_t character(const char* unfinished) {
    if (!more() || peek() == '\n') broken(unfinished);
    if (!take("\\")) {
      const unicode::Decoded d = unicode::decode(text_, at_);
      if (d.code < 0) broken("no UTF-8");
      at_ += d.length;
      return d.code;
    }
    static constexpr std::pair<char, int32_t> kNamed[] = {{'n', '\n'}, {'r', '\r'},  {'t', '\t'},  {'0', 0},
                                                          {'"', '"'},  {'\'', '\''}, {'\\', '\\'}, {'[', '['},
                                                          {']', ']'},  {'-', '-'},   {'^', '^'},   {'/', '/'}};
    for (const auto& [letter, code] : kNamed)
      if (more() && peek() == letter) return ++at_, code;
    for (const auto& [letter, digits] : {std::pair('x', 2), {'u', 4}, {'U', 8}})
      if (take(std::string_view(&letter, 1))) return hex(digits);
    broken("an escape that is not known");
  }

  int32_t hex(int digits) {
    int64_t code = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const char c = peek();
      const int v = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
      if (v < 0) broken("expected a hexadecimal digit");
      code = code << 4 | v;
    }
    if (code > CharSet::kLast || (code >= 0xD800 && code <= 0xDFFF)) broken("no character has this number");
    return static_cast<int32_t>(code);
  }

  std::string_view text_;
  size_t at_ = 0;
  EbnfRules out_;
  std::map<std::string, uint32_t, std::less<>> numbers_;
  std::vector<bool> defined_;
  std::vector<size_t> first_use_;
};

}  // namespace

EbnfRules parse_ebnf(std::string_view text) { return Parser(text).parse(); }

}  // namespace tenon::grammar
