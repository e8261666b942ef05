#include "text/output/pythonic.hpp"

#include <charconv>

#include "text/output/json_scan.hpp"
#include "text/unicode.hpp"

namespace tenon::output {
namespace {

constexpr int kMaxDepth = 64;

/// Every read gives false, or no value, where the text is no such literal.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool call(std::string& name, std::string& arguments) {
    skip();
    if (!identifier(name) || !take('(')) return false;
    arguments = "{";
    for (skip(); !take(')'); skip()) {
      std::string key, value;
      if (arguments.size() > 1) {
        if (!take(',')) return false;
        skip();
        if (take(')')) break;
        arguments += ", ";
      }
      if (!identifier(key)) return false;
      skip();
      if (!take('=')) return false;
      if (!literal(value, 0)) return false;
      arguments += to_json(key) + ": " + value;
    }
    arguments += "}";
    return true;
  }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void skip() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }
  bool done() {
    skip();
    return at_ == text_.size();
  }

 private:
  bool identifier(std::string& out) {
    const size_t start = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_' ||
                                  text_[at_] == '.' || text_[at_] == '-'))
      ++at_;
    out = text_.substr(start, at_ - start);
    return !out.empty() && !std::isdigit(static_cast<unsigned char>(out[0]));
  }

  bool literal(std::string& out, int depth) {
    skip();
    if (at_ >= text_.size() || depth > kMaxDepth) return false;
    const char c = text_[at_];
    if (c == '"' || c == '\'') return text(out);
    if (c == '[' || c == '(') return list(out, depth);
    if (c == '{') return dict(out, depth);
    return word(out);
  }

  bool word(std::string& out) {
    static constexpr std::pair<std::string_view, std::string_view> kWords[] = {
        {"True", "true"}, {"False", "false"}, {"None", "null"}, {"true", "true"}, {"false", "false"}, {"null", "null"}};
    const size_t end = std::min(text_.find_first_of(",)]}: \t\r\n", at_), text_.size());
    const std::string_view word = text_.substr(at_, end - at_);
    at_ = end;
    for (const auto& [python, json] : kWords)
      if (word == python) return out = json, true;
    if (word.empty() || !is_json(word)) return false;
    out = word;
    return true;
  }

  bool list(std::string& out, int depth) {
    const char close = text_[at_++] == '[' ? ']' : ')';
    out = "[";
    for (skip(); !take(close); skip()) {
      if (out.size() > 1) {
        if (!take(',')) return false;
        skip();
        if (take(close)) break;
        out += ", ";
      }
      std::string item;
      if (!literal(item, depth + 1)) return false;
      out += item;
    }
    out += "]";
    return true;
  }

  bool dict(std::string& out, int depth) {
    ++at_;
    out = "{";
    for (skip(); !take('}'); skip()) {
      if (out.size() > 1) {
        if (!take(',')) return false;
        skip();
        if (take('}')) break;
        out += ", ";
      }
      std::string key, value;
      if (!text(key)) return false;
      skip();
      if (!take(':') || !literal(value, depth + 1)) return false;
      out += key + ": " + value;
    }
    out += "}";
    return true;
  }

  bool text(std::string& out) {
    skip();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '"' && quote != '\'') return false;
    std::string value;
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_)
      if (text_[at_] != '\\')
        value += text_[at_];
      else if (!escape(value))
        return false;
    out = to_json(value);
    return take(quote) && is_json(out);
  }

  bool escape(std::string& out) {
    static constexpr std::pair<char, char> kNamed[] = {{'n', '\n'}, {'t', '\t'}, {'r', '\r'},  {'b', '\b'},
                                                       {'f', '\f'}, {'0', '\0'}, {'\\', '\\'}, {'\'', '\''},
                                                       {'"', '"'},  {'/', '/'},  {'\n', '\0'}};
    if (++at_ >= text_.size()) return false;
    for (const auto& [letter, c] : kNamed)
      if (text_[at_] == letter) return letter == '\n' ? true : (out += c, true);
    const size_t digits = text_[at_] == 'x' ? 2 : text_[at_] == 'u' ? 4 : text_[at_] == 'U' ? 8 : 0;
    if (digits == 0) return out += '\\', out += text_[at_], true;  // Python keeps what it does not know
    int32_t code = 0;
    const char* const first = text_.data() + at_ + 1;
    if (at_ + digits >= text_.size() || std::from_chars(first, first + digits, code, 16).ptr != first + digits)
      return false;
    if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
    unicode::append(out, code);
    at_ += digits;
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Calls pythonic_calls(std::string_view body) {
  std::vector<ToolCall> out;
  Reader reader(body);
  reader.skip();
  const bool bracket = reader.take('[');
  while (!reader.done() && !(bracket && reader.take(']'))) {
    ToolCall call;
    if (!reader.call(call.name, call.arguments) || !is_object(call.arguments)) return std::nullopt;
    out.push_back(std::move(call));
    reader.skip();
    reader.take(',') || reader.take(';');
  }
  return out.empty() || !reader.done() ? Calls() : Calls(std::move(out));
}

Calls dotted_call(std::string_view body) {
  Calls calls = pythonic_calls(body);
  if (!calls || calls->size() != 1) return std::nullopt;
  std::string& name = calls->front().name;
  if (!name.ends_with(".call")) return std::nullopt;
  name.resize(name.size() - 5);
  return calls;
}

}  // namespace tenon::output
