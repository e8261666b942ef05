// Reading a JSON string byte by byte while an automaton follows the text that it stands for: raw characters, short
// escapes and \u escapes (pairs of surrogates included) all spell the same characters.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "text/grammar/dfa.hpp"

namespace tenon::grammar {

inline constexpr uint32_t kMaxTextLength = (1u << 20) - 1;

struct TextPlace {
  uint64_t state : 23;  // of the content's automaton
  uint64_t count : 20;  // code points so far, as far as they matter
  uint64_t phase : 4;
  uint64_t code : 17;  // digits of an escape so far

  uint64_t bits() const { return std::bit_cast<uint64_t>(*this); }
  static TextPlace of(uint64_t bits) { return std::bit_cast<TextPlace>(bits); }
  static TextPlace at(uint32_t state) { return {state, 0, 0, 0}; }
};

struct TextLimits {
  uint32_t min = 0, max = kMaxTextLength;
  bool counted = false;
};

enum class TextStep { dead, inside, closed };

/// `Content` has next(state, byte), kDead where no text of the language goes on like that, and accepts(state); all
/// living states can be completed.
template <class Content>
class TextReader {
 public:
  TextReader(const Content& content, TextLimits limits) : content_(content), limits_(limits) {}

  /// The byte after the opening quote, and so on; `place` moves on unless the result is dead.
  TextStep step(TextPlace& place, uint8_t byte) const {
    const uint64_t phase = place.phase;
    if (phase == kText) return step_text(place, byte);
    if (phase == kEscape) return step_escape(place, byte);
    if (phase == kPairBackslash || phase == kPairU) {
      if (byte != (phase == kPairBackslash ? '\\' : 'u')) return TextStep::dead;
      place.phase = phase + 1;
      return TextStep::inside;
    }
    const int digit = hex(byte);
    if (digit < 0) return TextStep::dead;
    return phase < kPairBackslash ? step_unit(place, digit) : step_low(place, digit);
  }

 private:
  enum Phase : uint64_t {
    kText,
    kEscape,
    kUnit0,
    kUnit3 = kUnit0 + 3,
    kPairBackslash,
    kPairU,
    kLow0,
    kLow3 = kLow0 + 3
  };

  static int hex(uint8_t b) {
    if (b >= '0' && b <= '9') return b - '0';
    const int letter = b | 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
  }

  bool full(const TextPlace& p) const { return limits_.counted && p.count >= limits_.max; }

  void count(TextPlace& p) const {
    const uint32_t enough = limits_.max == kMaxTextLength ? limits_.min : limits_.max;
    if (limits_.counted && p.count < enough) p.count = p.count + 1;
  }

  TextStep step_text(TextPlace& p, uint8_t byte) const {
    if (byte == '"')
      return content_.accepts(static_cast<uint32_t>(p.state)) && (!limits_.counted || p.count >= limits_.min)
                 ? TextStep::closed
                 : TextStep::dead;
    const bool begins = (byte & 0xC0) != 0x80;
    if (byte < 0x20 || (begins && full(p))) return TextStep::dead;
    if (byte == '\\') {
      if (!any_in(p.state, 0, 0x10FFFF)) return TextStep::dead;
      p.phase = kEscape;
      return TextStep::inside;
    }
    const uint32_t next = content_.next(static_cast<uint32_t>(p.state), byte);
    if (next == Dfa::kDead) return TextStep::dead;
    p.state = next;
    if (begins) count(p);
    return TextStep::inside;
  }

  TextStep step_escape(TextPlace& p, uint8_t byte) const {
    if (byte == 'u') {
      p.phase = kUnit0;
      p.code = 0;
      return TextStep::inside;
    }
    static constexpr std::pair<char, int32_t> kShort[] = {{'"', '"'},  {'\\', '\\'}, {'/', '/'},  {'b', '\b'},
                                                          {'f', '\f'}, {'n', '\n'},  {'r', '\r'}, {'t', '\t'}};
    for (const auto& [letter, code] : kShort)
      if (byte == letter) return character(p, code);
    return TextStep::dead;
  }

  /// A digit of the first or only \uXXXX.
  TextStep step_unit(TextPlace& p, int digit) const {
    const int32_t code = static_cast<int32_t>(p.code) << 4 | digit;
    const int left = static_cast<int>(kUnit3 - p.phase);
    if (left == 0) {
      if (code < 0xD800 || code > 0xDFFF) return character(p, code);
      if (code > 0xDBFF || !any_in(p.state, first_of_pair(code), first_of_pair(code) + 0x3FF)) return TextStep::dead;
      p.phase = kPairBackslash;
      p.code = static_cast<uint64_t>(code - 0xD800) << 6;
      return TextStep::inside;
    }
    const int32_t low = code << (4 * left), high = low | ((1 << (4 * left)) - 1);
    if (!any_unit(p.state, low, high)) return TextStep::dead;
    p.phase = p.phase + 1;
    p.code = static_cast<uint64_t>(code);
    return TextStep::inside;
  }

  /// A digit of the second \uXXXX, DC00 to DFFF; `code` keeps the ten bits of the first and up to six of this one.
  TextStep step_low(TextPlace& p, int digit) const {
    const int read = static_cast<int>(p.phase - kLow0);
    if (read == 0 && digit != 0xD) return TextStep::dead;
    if (read == 1 && digit < 0xC) return TextStep::dead;
    const int32_t high = static_cast<int32_t>(p.code >> 6), known = static_cast<int32_t>(p.code & 0x3F);
    const int32_t low = read == 0 ? 0 : read == 1 ? digit & 3 : known << 4 | digit;
    const int left = read == 0 ? 10 : 4 * (3 - read);
    const int32_t first = 0x10000 + (high << 10) + (low << left);
    if (left == 0) return character(p, first);
    if (!any_in(p.state, first, first + (1 << left) - 1)) return TextStep::dead;
    p.phase = p.phase + 1;
    p.code = static_cast<uint64_t>(high << 6 | low);
    return TextStep::inside;
  }

  static int32_t first_of_pair(int32_t high) { return 0x10000 + ((high - 0xD800) << 10); }

  static uint32_t encode(int32_t code, uint8_t (&out)[4]) {
    if (code < 0x80) return out[0] = static_cast<uint8_t>(code), 1;
    const uint32_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (uint32_t i = n; i-- > 1; code >>= 6) out[i] = static_cast<uint8_t>(0x80 | (code & 0x3F));
    out[0] = static_cast<uint8_t>((0xF00 >> n) | code);
    return n;
  }

  TextStep character(TextPlace& p, int32_t code) const {
    uint8_t bytes[4];
    const uint32_t n = encode(code, bytes);
    auto state = static_cast<uint32_t>(p.state);
    for (uint32_t i = 0; i < n; ++i)
      if ((state = content_.next(state, bytes[i])) == Dfa::kDead) return TextStep::dead;
    p = {state, p.count, kText, 0};
    count(p);
    return TextStep::inside;
  }

  /// Can some code unit of low..high begin a character here?
  bool any_unit(uint64_t state, int32_t low, int32_t high) const {
    if (low < 0xD800 && any_in(state, low, std::min(high, 0xD7FF))) return true;
    if (high > 0xDFFF && any_in(state, std::max(low, 0xE000), high)) return true;
    const int32_t first = std::max(low, 0xD800), last = std::min(high, 0xDBFF);
    return first <= last && any_in(state, first_of_pair(first), first_of_pair(last) + 0x3FF);
  }

  /// Is some character of low..high possible here?
  bool any_in(uint64_t state, int32_t low, int32_t high) const {
    static constexpr int32_t kLast[] = {0x7F, 0x7FF, 0xFFFF, 0x10FFFF};
    for (int32_t last : kLast) {
      if (low > high) return false;
      if (low > last) continue;
      uint8_t from[4], to[4];
      const uint32_t n = encode(low, from);
      encode(std::min(high, last), to);
      if (any_between(static_cast<uint32_t>(state), from, to, n)) return true;
      low = last + 1;
    }
    return false;
  }

  bool any_between(uint32_t state, const uint8_t* from, const uint8_t* to, uint32_t n) const {
    for (uint32_t b = from[0]; b <= to[0]; ++b) {
      const uint32_t next = content_.next(state, static_cast<uint8_t>(b));
      if (next == Dfa::kDead) continue;
      if (n == 1) return true;
      static constexpr uint8_t kLeast[] = {0x80, 0x80, 0x80}, kMost[] = {0xBF, 0xBF, 0xBF};
      const bool first = b == from[0], last = b == to[0];
      if (!first && !last) return true;  // anything may follow, and something can
      if (any_between(next, first ? from + 1 : kLeast, last ? to + 1 : kMost, n - 1)) return true;
    }
    return false;
  }

  const Content& content_;
  TextLimits limits_;
};

/// The whole language of an automaton.
struct DfaContent {
  const Dfa& dfa;
  uint32_t next(uint32_t state, uint8_t byte) const { return dfa.next(state, byte); }
  bool accepts(uint32_t state) const { return dfa.accepts(state); }
};

}  // namespace tenon::grammar
