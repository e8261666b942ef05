#include "text/text_replace.hpp"

#include "base/error.hpp"

namespace tenon {

constexpr size_t kMaxReplaced = size_t{1} << 30;

std::string replace_all(const Pattern& pattern, std::string_view content, std::string_view text) {
  std::vector<Pattern::Span> spans;
  pattern.find_all(text, spans);
  if (text.size() + spans.size() * content.size() > kMaxReplaced)
    fail(ErrorCode::capacity, "[tokenizer] {} replacements by {} bytes", spans.size(), content.size());
  std::string out;
  size_t done = 0;
  for (const auto& [begin, end] : spans) {
    (out += text.substr(done, begin - done)) += content;
    done = end;
  }
  return out += text.substr(done);
}

std::string replace_text(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  size_t at = 0;
  if (!from.empty())
    for (size_t found; (found = text.find(from, at)) != std::string_view::npos; at = found + from.size())
      (out += text.substr(at, found - at)) += to;
  return out += text.substr(at);
}

}  // namespace tenon
