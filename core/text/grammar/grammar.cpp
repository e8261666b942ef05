#include "text/grammar/grammar.hpp"

#include "base/error.hpp"
#include "text/grammar/regex.hpp"

namespace tenon::grammar {
namespace {

Grammar of_language(Dfa language) {
  Grammar out;
  out.root = out.add(Bytes{std::make_shared<const Dfa>(std::move(language))});
  return out;
}

}  // namespace

Grammar from_regex(std::string_view pattern) { return of_language(regex(pattern)); }

Grammar from_choice(std::span<const std::string> texts) {
  if (texts.empty()) fail(ErrorCode::usage, "[choice] nothing to choose from");
  return of_language(literals(std::vector<std::string_view>(texts.begin(), texts.end())));
}

}  // namespace tenon::grammar
