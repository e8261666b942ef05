#include "text/charsmap.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "text/unicode.hpp"

namespace tenon {

namespace {

constexpr size_t kMaxReplacement = 1024, kMaxText = size_t{1} << 30;

uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }
uint32_t label_of(uint32_t unit) { return unit & ((1u << 31) | 0xff); }
bool has_leaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }

// Where the grapheme that begins at `at` ends.
size_t grapheme_end(std::string_view text, size_t at) {
  unicode::Decoded d = unicode::decode(text, at);
  size_t end = at + d.length;
  utf8proc_int32_t state = 0;
  while (d.code >= 0 && end < text.size()) {
    const unicode::Decoded next = unicode::decode(text, end);
    const bool ascii = d.code < 0x80 && next.code < 0x80 && d.code != '\r';
    if (next.code < 0 || ascii || utf8proc_grapheme_break_stateful(d.code, next.code, &state)) break;
    end += next.length;
    d = next;
  }
  return end;
}

}  // namespace

Charsmap::Charsmap(std::string_view blob, std::string place) : place_(std::move(place)) {
  uint32_t size = 0;
  if (blob.size() < sizeof size) fail(ErrorCode::bad_model, "[{}] a character map of {} bytes", place_, blob.size());
  std::memcpy(&size, blob.data(), sizeof size);  // little endian, as this machine
  blob.remove_prefix(sizeof size);
  if (size == 0 || size % sizeof(uint32_t) != 0 || size > blob.size())
    fail(ErrorCode::bad_model, "[{}] a character map whose trie has {} of {} bytes", place_, size, blob.size());
  units_.resize(size / sizeof(uint32_t));
  std::memcpy(units_.data(), blob.data(), size);
  replacements_ = blob.substr(size);
}

std::string_view Charsmap::replacement(uint32_t offset) const {
  if (offset >= replacements_.size())
    fail(ErrorCode::bad_model, "[{}] the character map points to byte {} of {} replacement bytes", place_, offset,
         replacements_.size());
  const std::string_view rest = std::string_view(replacements_).substr(offset, kMaxReplacement + 1);
  const size_t length = std::min(rest.find('\0'), rest.size());
  if (length > kMaxReplacement)
    fail(ErrorCode::bad_model, "[{}] the character map has a replacement of more than {} bytes", place_,
         kMaxReplacement);
  return rest.substr(0, length);
}

Charsmap::Match Charsmap::find(std::string_view text, bool shortest) const {
  Match match;
  uint32_t leaf = 0;
  size_t at = offset_of(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    at ^= byte;
    if (byte == 0 || at >= units_.size() || label_of(units_[at]) != byte) break;
    const uint32_t unit = units_[at];
    at ^= offset_of(unit);
    if (!has_leaf(unit)) continue;
    if (at >= units_.size())
      fail(ErrorCode::bad_model, "[{}] the character map points to unit {} of {}", place_, at, units_.size());
    leaf = units_[at] & 0x7fffffff;
    match.length = i + 1;
    if (shortest) break;
  }
  if (match.length > 0) match.replacement = replacement(leaf);
  return match;
}

void Charsmap::rewrite_grapheme(std::string_view grapheme, std::string& out) const {
  constexpr size_t kWhole = 6;  // bytes from which on a grapheme is taken by its characters
  if (grapheme.size() < kWhole)
    if (const Match whole = find(grapheme, true); whole.length > 0) {
      out += whole.replacement;
      return;
    }
  for (size_t at = 0; at < grapheme.size();) {
    const std::string_view character = grapheme.substr(at, unicode::decode(grapheme, at).length);
    const Match match = find(character, true);
    out += match.length > 0 ? match.replacement : character;
    at += character.size();
  }
}

std::string Charsmap::rewrite_graphemes(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t end = grapheme_end(text, at);
    rewrite_grapheme(text.substr(at, end - at), out);
    if (out.size() > kMaxText) fail(ErrorCode::capacity, "[{}] normalized text exceeds {} bytes", place_, kMaxText);
    at = end;
  }
  return out;
}

}  // namespace tenon
