// Stop strings in text that arrives in pieces: passes on what can no longer become part of one, and ends at the first
// one that is complete. The outcome does not depend on where the pieces break.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

inline constexpr size_t kMaxStopStrings = 16, kMaxStopBytes = 1024;

class StopStrings {
 public:
  /// Error{usage} for more than 16, an empty one, one above 1024 bytes or one that is no UTF-8.
  explicit StopStrings(std::vector<std::string> stops);

  /// The text that may be shown after this piece; nothing more once a stop string is complete.
  std::string feed(std::string_view piece);
  /// What was held back and did not become a stop string.
  std::string flush();
  /// A stop string came; the text ended before it.
  bool stopped() const { return stopped_; }

 private:
  struct Stop {
    std::string text;
    std::vector<size_t> border;  // border[i]: the longest proper prefix of text[0, i] that is its suffix too
    size_t matched = 0;          // bytes at the end of the input that begin this string

    /// Takes one byte; true when the string is complete.
    bool step(char byte);
  };
  std::vector<Stop> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace tenon
