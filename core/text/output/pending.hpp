// Text that is not judged yet, and the markers that it may hold.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "text/unicode.hpp"

namespace tenon::output {

class Pending {
 public:
  void append(std::string_view text) { text_ += text; }
  std::string_view view() const { return std::string_view(text_).substr(start_); }
  /// Takes bytes off the front; views become invalid.
  void consume(size_t n) {
    start_ += n;
    if (start_ * 2 <= text_.size()) return;
    text_.erase(0, start_);
    start_ = 0;
  }

 private:
  std::string text_;
  size_t start_ = 0;
};

/// The first place where a marker is, and the longest that is there; npos without one. One walk over the text.
inline size_t find_marker(std::string_view text, std::span<const std::string_view> markers, std::string_view& found) {
  bool first[256] = {};
  for (std::string_view marker : markers) first[static_cast<unsigned char>(marker[0])] = true;
  for (size_t at = 0; at < text.size(); ++at) {
    if (!first[static_cast<unsigned char>(text[at])]) continue;
    found = {};
    for (std::string_view marker : markers)
      if (marker.size() > found.size() && text.substr(at, marker.size()) == marker) found = marker;
    if (!found.empty()) return at;
  }
  return std::string_view::npos;
}

/// How many bytes at the end may be the beginning of a marker, or of a character.
inline size_t unfinished(std::string_view text, std::span<const std::string_view> markers) {
  size_t held = unicode::incomplete_tail(text);
  for (std::string_view marker : markers)
    for (size_t n = std::min(marker.size() - 1, text.size()); n > held; --n)
      if (text.ends_with(marker.substr(0, n))) held = n;
  return held;
}

}  // namespace tenon::output
