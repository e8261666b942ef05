// One Knuth-Morris-Pratt automaton a stop string, side by side. See stop_strings.hpp.
#include "engine/stop_strings.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "base/value.hpp"

namespace tenon {
namespace {

std::vector<size_t> borders_of(std::string_view text) {
  std::vector<size_t> border(text.size(), 0);
  for (size_t i = 1, k = 0; i < text.size(); ++i) {
    while (k > 0 && text[i] != text[k]) k = border[k - 1];
    k += text[i] == text[k];
    border[i] = k;
  }
  return border;
}

void check(const std::vector<std::string>& stops) {
  if (stops.size() > kMaxStopStrings)
    fail(ErrorCode::usage, "[stop] {} strings, at most {} are allowed", stops.size(), kMaxStopStrings);
  for (size_t i = 0; i < stops.size(); ++i) {
    if (stops[i].empty() || stops[i].size() > kMaxStopBytes)
      fail(ErrorCode::usage, "[stop] string {} has {} bytes, 1 to {} are allowed", i, stops[i].size(), kMaxStopBytes);
    // Whole characters only, so that neither a cut nor a hold ever splits one.
    if (!is_utf8(stops[i])) fail(ErrorCode::usage, "[stop] string {} ({}) is no UTF-8", i, in_quotes(stops[i]));
  }
}

}  // namespace

bool StopStrings::Stop::step(char byte) {
  while (matched > 0 && byte != text[matched]) matched = border[matched - 1];
  matched += byte == text[matched];
  return matched == text.size();
}

StopStrings::StopStrings(std::vector<std::string> stops) {
  check(stops);
  for (std::string& text : stops) {
    auto border = borders_of(text);
    stops_.push_back({.text = std::move(text), .border = std::move(border)});
  }
}

std::string StopStrings::feed(std::string_view piece) {
  if (stopped_) return {};
  size_t hold = 0;
  for (size_t i = 0; i < piece.size() && !stopped_; ++i) {
    held_ += piece[i];
    size_t partial = 0, complete = 0;
    for (Stop& stop : stops_) {
      if (stop.step(piece[i])) complete = std::max(complete, stop.text.size());
      partial = std::max(partial, stop.matched);
    }
    stopped_ = complete > 0;
    hold = stopped_ ? complete : partial;
  }
  if (piece.empty()) return {};
  std::string out = held_.substr(0, held_.size() - hold);
  held_.erase(0, stopped_ ? held_.size() : out.size());
  return out;
}

std::string StopStrings::flush() { return std::exchange(held_, {}); }

}  // namespace tenon
