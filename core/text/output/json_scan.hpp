// Finding JSON in text without building it: where values end, which members an object has.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon::output {

/// Follows JSON byte by byte, as far as telling strings from the rest.
class JsonPlace {
 public:
  void feed(char c) {
    if (in_string_) {
      if (escaped_)
        escaped_ = false;
      else if (c == '\\')
        escaped_ = true;
      else if (c == '"')
        in_string_ = false;
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (c == '}' || c == ']') {
      --depth_;
    }
  }
  bool in_string() const { return in_string_; }
  /// Brackets that are open; 0 or less behind a whole value.
  int depth() const { return depth_; }

 private:
  bool in_string_ = false, escaped_ = false;
  int depth_ = 0;
};

std::string_view trimmed(std::string_view text);
/// The value that begins at `at`, white space skipped; `at` moves behind it. Nothing when there is no whole one.
std::optional<std::string_view> take_value(std::string_view text, size_t& at);
/// Key and raw value of each member of an object's text; nothing for anything else.
std::optional<std::vector<std::pair<std::string, std::string_view>>> members(std::string_view object);
/// The raw items of an array's text.
std::optional<std::vector<std::string_view>> items(std::string_view array);
/// What a JSON string's text stands for; nothing for anything else.
std::optional<std::string> string_of(std::string_view text);
bool is_json(std::string_view text);
bool is_object(std::string_view text);

}  // namespace tenon::output
