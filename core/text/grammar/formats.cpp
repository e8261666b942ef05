#include "text/grammar/formats.hpp"

#include <map>
#include <mutex>

#include "text/grammar/regex.hpp"

namespace tenon::grammar {
namespace {

struct Format {
  std::string_view name, pattern;
};
constexpr Format kFormats[] = {
#define FORMAT(NAME, PATTERN) {NAME, PATTERN},
#include "text/grammar/formats.def"
#undef FORMAT
};

}  // namespace

std::optional<Dfa> format(std::string_view name) {
  static std::mutex mutex;
  static std::map<std::string_view, Dfa> made;
  for (const Format& f : kFormats) {
    if (f.name != name) continue;
    const std::lock_guard lock(mutex);
    const auto it = made.find(f.name);
    return it != made.end() ? it->second : made[f.name] = regex(f.pattern);
  }
  return std::nullopt;
}

}  // namespace tenon::grammar
