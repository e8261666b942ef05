// Text that knows which of it the template wrote and which came from a user.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

struct TextSpan {
  size_t begin = 0, end = 0;
};
/// Sorted, apart from each other.
using TextSpans = std::vector<TextSpan>;

struct MarkedText {
  std::string text = {};
  TextSpans trusted = {};  // what a user cannot have written

  void append(std::string_view more, bool is_trusted) {
    if (is_trusted) add({text.size(), text.size() + more.size()});
    text += more;
  }
  void append(std::string_view more, const TextSpans& its_trusted) {
    for (const TextSpan& s : its_trusted) add({text.size() + s.begin, text.size() + s.end});
    text += more;
  }

 private:
  void add(TextSpan span) {
    if (span.begin == span.end) return;
    if (!trusted.empty() && trusted.back().end == span.begin)
      trusted.back().end = span.end;
    else
      trusted.push_back(span);
  }
};

}  // namespace tenon
