// Value to JSON text: shortest numbers that read back exactly, and always valid UTF-8 whatever the strings hold.
#include <array>
#include <charconv>
#include <cmath>

#include "base/error.hpp"
#include "base/value.hpp"

namespace tenon {
namespace {

// Decodes one code point at `i` and moves past it. What is no UTF-8 yields one U+FFFD per maximal well-formed
// beginning, as Unicode recommends and as other decoders do.
uint32_t next_code_point(std::string_view s, size_t& i) {
  const auto byte = [&](size_t k) { return static_cast<uint8_t>(s[k]); };
  const uint8_t lead = byte(i);
  if (lead < 0x80) return ++i, lead;
  const size_t length = lead >= 0xc2 && lead < 0xe0   ? 2
                        : lead >= 0xe0 && lead < 0xf0 ? 3
                        : lead >= 0xf0 && lead < 0xf5 ? 4
                                                      : 0;
  if (length == 0) return ++i, 0xfffd;
  uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;   // else an overlong form
  uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;  // else a surrogate, or above U+10FFFF
  uint32_t cp = lead & (0x7fu >> length);
  size_t k = 1;
  for (; k < length && i + k < s.size() && byte(i + k) >= low && byte(i + k) <= high; ++k) {
    cp = (cp << 6) | (byte(i + k) & 0x3f);
    low = 0x80, high = 0xbf;
  }
  i += k;
  return k == length ? cp : 0xfffd;
}

void append_utf8(std::string& out, uint32_t cp) {
  if (cp < 0x80) {
    out += static_cast<char>(cp);
  } else if (cp < 0x800) {
    out += static_cast<char>(0xc0 | cp >> 6);
    out += static_cast<char>(0x80 | (cp & 0x3f));
  } else if (cp < 0x10000) {
    out += static_cast<char>(0xe0 | cp >> 12);
    out += static_cast<char>(0x80 | ((cp >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (cp & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | cp >> 18);
    out += static_cast<char>(0x80 | ((cp >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((cp >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (cp & 0x3f));
  }
}

void append_escape(std::string& out, uint32_t cp) {
  if (cp >= 0x10000) {
    out += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + ((cp - 0x10000) >> 10), 0xdc00 + ((cp - 0x10000) & 0x3ff));
  } else {
    out += fmt::format("\\u{:04x}", cp);
  }
}

class Writer {
 public:
  Writer(bool ensure_ascii, bool pretty) : ensure_ascii_(ensure_ascii), pretty_(pretty) {}

  void write(const Value& v, int depth) {
    switch (v.kind()) {
      case Value::Kind::null:
        out_ += "null";
        break;
      case Value::Kind::boolean:
        out_ += v.as_bool() ? "true" : "false";
        break;
      case Value::Kind::integer:
        out_ += std::to_string(v.as_int());
        break;
      case Value::Kind::real:
        number(v.as_double());
        break;
      case Value::Kind::string:
        string(v.as_string());
        break;
      case Value::Kind::array:
        array(v.as_array(), depth);
        break;
      case Value::Kind::object:
        object(v.as_object(), depth);
        break;
    }
  }

  std::string take() { return std::move(out_); }

 private:
  void number(double d) {
    if (!std::isfinite(d)) {
      out_ += "null";
      return;
    }
    std::array<char, 32> buffer;
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), d).ptr;
    const std::string_view text(buffer.data(), static_cast<size_t>(end - buffer.data()));
    out_ += text;
    if (text.find_first_of(".e") == std::string_view::npos) out_ += ".0";
  }

  void string(std::string_view s) {
    out_ += '"';
    for (size_t i = 0; i < s.size();) {
      const uint32_t cp = next_code_point(s, i);
      switch (cp) {
        case '"':
          out_ += "\\\"";
          break;
        case '\\':
          out_ += "\\\\";
          break;
        case '\n':
          out_ += "\\n";
          break;
        case '\r':
          out_ += "\\r";
          break;
        case '\t':
          out_ += "\\t";
          break;
        case '\b':
          out_ += "\\b";
          break;
        case '\f':
          out_ += "\\f";
          break;
        default:
          if (cp < 0x20 || (ensure_ascii_ && cp > 0x7e)) {
            append_escape(out_, cp);
          } else {
            append_utf8(out_, cp);
          }
      }
    }
    out_ += '"';
  }

  void array(const Value::Array& items, int depth) {
    // Arrays of scalars stay on one line: long number lists are read across, not down.
    bool lines = false;
    for (const Value& item : items) lines = lines || item.is_array() || item.is_object();
    out_ += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += pretty_ && !lines ? ", " : ",";
      if (lines) line_break(depth + 1);
      write(items[i], depth + 1);
    }
    if (lines) line_break(depth);
    out_ += ']';
  }

  void object(const Value::Object& members, int depth) {
    out_ += '{';
    for (size_t i = 0; i < members.size(); ++i) {
      if (i > 0) out_ += ',';
      line_break(depth + 1);
      string(members[i].first);
      out_ += pretty_ ? ": " : ":";
      write(members[i].second, depth + 1);
    }
    if (!members.empty()) line_break(depth);
    out_ += '}';
  }

  void line_break(int depth) {
    if (!pretty_) return;
    out_ += '\n';
    out_.append(static_cast<size_t>(depth) * 2, ' ');
  }

  bool ensure_ascii_, pretty_;
  std::string out_;
};

}  // namespace

std::string to_json(const Value& value, bool ensure_ascii) {
  Writer writer(ensure_ascii, false);
  writer.write(value, 0);
  return writer.take();
}

std::string in_quotes(std::string_view text) {
  constexpr size_t kShown = 100;
  if (text.size() <= kShown) return to_json(Value(text), true);
  return to_json(Value(text.substr(0, kShown)), true) + fmt::format("... ({} bytes)", text.size());
}

std::string to_json_pretty(const Value& value) {
  Writer writer(false, true);
  writer.write(value, 0);
  return writer.take();
}

}  // namespace tenon
