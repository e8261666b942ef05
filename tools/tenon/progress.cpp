#include "progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace tenon::tool {

Progress::Progress() : last_(Clock::now()) {
  const char* term = std::getenv("TERM");
  terminal_ = isatty(STDERR_FILENO) && !(term && std::string_view(term) == "dumb");
  const char* no_color = std::getenv("NO_COLOR");
  color_ = terminal_ && !(no_color && *no_color);
}

Progress::~Progress() { clear(); }

void Progress::update(std::string_view what, uint64_t done, uint64_t total) {
  const Clock::time_point now = Clock::now();
  if (!terminal_ || total == 0 || now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  constexpr int kWidth = 30;
  const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const int full = static_cast<int>(share * kWidth);
  const std::string bar = std::string(full, '#') + std::string(kWidth - full, ' ');
  fmt::print(stderr, "\r\x1b[K{} [{}{}{}] {:3.0f}%", what, color_ ? "\x1b[36m" : "", bar, color_ ? "\x1b[0m" : "",
             share * 100);
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::clear() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace tenon::tool
