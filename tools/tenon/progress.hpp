// A progress bar on stderr for long work; silent when stderr is no terminal, plain with NO_COLOR.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

namespace tenon::tool {

class Progress {
 public:
  Progress();
  /// Clears the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Draws "what [####    ] 40%" at most ten times a second; nothing within the first tenth of a second.
  void update(std::string_view what, uint64_t done, uint64_t total);
  /// Removes the bar; a later update draws it again.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_ = false, color_ = false, drawn_ = false;
  Clock::time_point last_;
};

}  // namespace tenon::tool
