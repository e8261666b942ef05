// UTF-8 and character classes over utf8proc.
#include "text/unicode.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "base/error.hpp"

namespace tenon::unicode {

int sequence_length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  if (lead >= 0xf0 && lead < 0xf5) return 4;
  return 0;
}

namespace {

// The range allowed for the second byte, which is what rules out overlong forms, surrogates and values past 10FFFF.
bool second_byte_ok(unsigned char lead, unsigned char second) {
  unsigned char low = 0x80, high = 0xbf;
  if (lead == 0xe0) low = 0xa0;
  if (lead == 0xed) high = 0x9f;
  if (lead == 0xf0) low = 0x90;
  if (lead == 0xf4) high = 0x8f;
  return second >= low && second <= high;
}

}  // namespace

Decoded decode(std::string_view text, size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const int n = sequence_length(lead);
  if (n == 1) return {lead, 1};
  if (n == 0 || text.size() - at < static_cast<size_t>(n)) return {-1, 1};
  if (!second_byte_ok(lead, static_cast<unsigned char>(text[at + 1]))) return {-1, 1};
  int32_t code = lead & (0xff >> (n + 1));
  for (int i = 1; i < n; ++i) {
    const auto byte = static_cast<unsigned char>(text[at + static_cast<size_t>(i)]);
    if ((byte & 0xc0) != 0x80) return {-1, 1};
    code = (code << 6) | (byte & 0x3f);
  }
  return {code, static_cast<uint32_t>(n)};
}

void append(std::string& out, int32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

size_t valid_end(std::string_view text, size_t at) {
  while (at < text.size()) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const Decoded d = decode(text, at);
    if (d.code < 0) break;
    at += d.length;
  }
  return at;
}

size_t incomplete_tail(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xc0) == 0x80) continue;
    if (sequence_length(byte) <= static_cast<int>(back)) return 0;
    if (back >= 2 && !second_byte_ok(byte, static_cast<unsigned char>(text[text.size() - back + 1]))) return 0;
    return back;
  }
  return 0;
}

size_t length(std::string_view text) {
  size_t n = 0;
  for (size_t at = 0; at < text.size(); ++n) at += decode(text, at).length;
  return n;
}

bool is_space(int32_t c) {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
         c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_letter(int32_t c) {
  const auto k = utf8proc_category(c);
  return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}
bool is_number(int32_t c) {
  const auto k = utf8proc_category(c);
  return k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO;
}
bool is_decimal(int32_t c) { return utf8proc_category(c) == UTF8PROC_CATEGORY_ND; }
bool is_mark(int32_t c) {
  const auto k = utf8proc_category(c);
  return k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME;
}
bool is_upper(int32_t c) { return utf8proc_category(c) == UTF8PROC_CATEGORY_LU; }
bool is_lower(int32_t c) { return utf8proc_category(c) == UTF8PROC_CATEGORY_LL; }
bool is_word(int32_t c) { return c == '_' || is_letter(c) || is_number(c) || is_mark(c); }

std::string to_lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Decoded d = decode(text, at);
    if (d.code < 0) {
      out += text[at];
    } else if (d.code == 0x130) {
      out += "i\xcc\x87";
    } else {
      append(out, utf8proc_tolower(d.code));
    }
    at += d.length;
  }
  return out;
}

std::string to_upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Decoded d = decode(text, at);
    if (d.code < 0) {
      out += text[at];
    } else if (d.code == 0xdf) {
      out += "SS";
    } else {
      append(out, utf8proc_toupper(d.code));
    }
    at += d.length;
  }
  return out;
}

namespace {

bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

int form_options(Form form) {
  switch (form) {
    case Form::nfc:
      return UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    case Form::nfd:
      return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
    case Form::nfkc:
      return UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
    case Form::nfkd:
      return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
  }
  return 0;
}

}  // namespace

namespace {

// Runs of marks in their canonical order. utf8proc sorts them too, but in quadratic time unless they are sorted.
void order_marks(std::vector<utf8proc_int32_t>& codes) {
  const auto order = [](utf8proc_int32_t code) {
    return static_cast<uint64_t>(utf8proc_get_property(code)->combining_class);
  };
  std::vector<uint64_t> keys;  // class, place and code point
  for (size_t i = 0; i < codes.size(); ++i) {
    const size_t begin = i;
    for (keys.clear(); i < codes.size() && order(codes[i]) != 0; ++i)
      keys.push_back(order(codes[i]) << 56 | uint64_t{keys.size()} << 24 | static_cast<uint32_t>(codes[i]));
    std::ranges::sort(keys);
    for (size_t k = 0; k < keys.size(); ++k) codes[begin + k] = static_cast<utf8proc_int32_t>(keys[k] & 0xffffff);
  }
}

void normalize_valid(std::string_view text, utf8proc_option_t options, std::string& out) {
  std::vector<utf8proc_int32_t> codes;
  codes.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Decoded d = decode(text, at);
    utf8proc_int32_t parts[32];
    int boundary = 0;
    const utf8proc_ssize_t n = utf8proc_decompose_char(d.code, parts, std::ssize(parts), options, &boundary);
    if (n < 0 || n > std::ssize(parts)) fail(ErrorCode::internal, "[normalize] U+{:04X} has {} parts", d.code, n);
    codes.insert(codes.end(), parts, parts + n);
    at += d.length;
  }
  order_marks(codes);
  utf8proc_ssize_t n = std::ssize(codes);
  if (options & UTF8PROC_COMPOSE) n = utf8proc_normalize_utf32(codes.data(), n, options);
  if (n < 0) fail(ErrorCode::capacity, "[normalize] {} bytes: {}", text.size(), utf8proc_errmsg(n));
  for (utf8proc_ssize_t i = 0; i < n; ++i) append(out, codes[static_cast<size_t>(i)]);
}

}  // namespace

std::string normalize(std::string_view text, Form form) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t end = valid_end(text, at);
    if (end == at)
      out += text[at++];
    else if (const std::string_view valid = text.substr(at, end - at); std::ranges::all_of(valid, is_ascii))
      out += valid;
    else
      normalize_valid(valid, static_cast<utf8proc_option_t>(form_options(form)), out);
    at = std::max(at, end);
  }
  return out;
}

}  // namespace tenon::unicode
