#include "text/output/json_scan.hpp"

#include "base/error.hpp"
#include "base/value.hpp"

namespace tenon::output {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::optional<std::string_view> take_value(std::string_view text, size_t& at) {
  const size_t begin = text.find_first_not_of(" \t\r\n", at);
  if (begin == std::string_view::npos) return std::nullopt;
  size_t end = begin;
  if (const char c = text[begin]; c == '{' || c == '[' || c == '"') {
    JsonPlace place;
    do {
      if (end == text.size()) return std::nullopt;
      place.feed(text[end++]);
    } while (place.in_string() || place.depth() > 0);
  } else {
    end = std::min(text.find_first_of(",]} \t\r\n", begin), text.size());
  }
  if (end == begin) return std::nullopt;
  at = end;
  return text.substr(begin, end - begin);
}

namespace {

/// Steps over white space and, when it comes next, `c`.
bool take(std::string_view text, size_t& at, char c) {
  const size_t next = text.find_first_not_of(" \t\r\n", at);
  if (next == std::string_view::npos || text[next] != c) return false;
  at = next + 1;
  return true;
}

std::optional<Value> parsed(std::string_view text) {
  try {
    return parse_json(text, "call");
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

std::optional<std::string> string_of(std::string_view text) {
  const auto value = parsed(text);
  return value && value->is_string() ? std::optional(value->as_string()) : std::nullopt;
}

bool is_json(std::string_view text) { return parsed(text).has_value(); }

bool is_object(std::string_view text) {
  const auto value = parsed(text);
  return value && value->is_object();
}

std::optional<std::vector<std::pair<std::string, std::string_view>>> members(std::string_view object) {
  std::vector<std::pair<std::string, std::string_view>> out;
  size_t at = 0;
  if (!take(object, at, '{')) return std::nullopt;
  while (!take(object, at, '}')) {
    if (!out.empty() && !take(object, at, ',')) return std::nullopt;
    const auto key = take_value(object, at);
    const auto name = key ? string_of(*key) : std::nullopt;
    if (!name || !take(object, at, ':')) return std::nullopt;
    const auto value = take_value(object, at);
    if (!value) return std::nullopt;
    out.emplace_back(*name, *value);
  }
  return trimmed(object.substr(at)).empty() ? std::optional(std::move(out)) : std::nullopt;
}

std::optional<std::vector<std::string_view>> items(std::string_view array) {
  std::vector<std::string_view> out;
  size_t at = 0;
  if (!take(array, at, '[')) return std::nullopt;
  while (!take(array, at, ']')) {
    if (!out.empty() && !take(array, at, ',')) return std::nullopt;
    const auto value = take_value(array, at);
    if (!value) return std::nullopt;
    out.push_back(*value);
  }
  return trimmed(array.substr(at)).empty() ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace tenon::output
