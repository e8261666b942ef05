#include "text/rewrites.hpp"

#include <utf8proc.h>

#include <array>

#include "text/unicode.hpp"
#include "text/unicode_classes.hpp"
#include "text/vocabulary.hpp"

namespace tenon::rewrites {

namespace {

constexpr int32_t kDrop = -1;

// `function`: from a code point to the one that it becomes, or kDrop.
template <typename Function>
std::string each_character(std::string_view text, bool& at_start, Function function) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const unicode::Decoded d = unicode::decode(text, at);
    const int32_t to = d.code < 0 ? d.code : function(d.code);
    if (d.code < 0 || to == d.code)
      out.append(text, at, d.length);
    else if (to != kDrop)
      unicode::append(out, to);
    else if (at == 0)
      at_start = false;
    at += d.length;
  }
  return out;
}

bool is_control(int32_t code) { return in_class(code, UnicodeClass::control); }

bool is_ideograph(int32_t code) {
  static constexpr std::pair<int32_t, int32_t> kBlocks[] = {{0x4e00, 0x9fff},   {0x3400, 0x4dbf},   {0x20000, 0x2a6df},
                                                            {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf},
                                                            {0xf900, 0xfaff},   {0x2f800, 0x2fa1f}};
  for (const auto& [first, last] : kBlocks)
    if (code >= first && code <= last) return true;
  return false;
}

int32_t nmt_of(int32_t c) {
  if ((c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f) return kDrop;
  const bool space = c == 9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 || (c >= 0x200b && c <= 0x200f) ||
                     c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd;
  return space ? ' ' : c;
}

}  // namespace

std::string clean_text(std::string_view text, bool& at_start) {
  return each_character(text, at_start, [](int32_t c) -> int32_t {
    if (unicode::is_space(c) && (c == '\t' || c == '\n' || c == '\r' || !is_control(c))) return ' ';
    return c == 0 || c == 0xfffd || is_control(c) ? kDrop : c;
  });
}

std::string without_nonspacing_marks(std::string_view text, bool& at_start) {
  return each_character(text, at_start, [](int32_t c) { return in_class(c, UnicodeClass::nonspacing) ? kDrop : c; });
}

std::string without_marks(std::string_view text, bool& at_start) {
  return each_character(text, at_start, [](int32_t c) { return in_class(c, UnicodeClass::mark) ? kDrop : c; });
}

std::string nmt(std::string_view text, bool& at_start) { return each_character(text, at_start, nmt_of); }

std::string strip(std::string_view text, bool left, bool right, bool& at_start) {
  size_t begin = text.size(), end = 0;
  for (size_t at = 0; at < text.size();) {
    const unicode::Decoded d = unicode::decode(text, at);
    if (d.code < 0 || !unicode::is_space(d.code)) {
      if (begin > at) begin = at;
      end = at + d.length;
    }
    at += d.length;
  }
  if (!left) begin = 0;
  if (!right) end = text.size();
  if (begin > 0) at_start = false;
  return std::string(text.substr(begin, end > begin ? end - begin : 0));
}

std::string isolate_ideographs(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const unicode::Decoded d = unicode::decode(text, at);
    const bool alone = d.code >= 0 && is_ideograph(d.code);
    if (alone) out += ' ';
    out.append(text, at, d.length);
    if (alone) out += ' ';
    at += d.length;
  }
  return out;
}

std::string lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const unicode::Decoded d = unicode::decode(text, at);
    if (d.code < 0)
      out += text[at];
    else if (d.code == 0x130)
      out += "i\xcc\x87";  // the one letter that becomes two
    else
      unicode::append(out, utf8proc_tolower(d.code));
    at += d.length;
  }
  return out;
}

std::string spell(std::string_view text) {
  static const std::array<std::string, 256> kSpelled = [] {
    std::array<std::string, 256> all;
    for (int32_t code = 0; code < 0x144; ++code) {
      std::string spelled, byte;
      unicode::append(spelled, code);
      if (unspell_bytes(spelled, byte)) all[static_cast<unsigned char>(byte[0])] = spelled;
    }
    return all;
  }();
  std::string out;
  out.reserve(text.size());
  for (const char c : text) out += kSpelled[static_cast<unsigned char>(c)];
  return out;
}

}  // namespace tenon::rewrites
