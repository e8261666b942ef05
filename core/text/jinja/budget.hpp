// What one rendering may cost. Templates come out of model files, so each is run as if it were hostile.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <utility>

namespace tenon::jinja {

/// An error inside a template; line 0 is filled in by whoever knows it.
struct Fault {
  std::string message;
  int line = 0;
};

template <typename... Args>
[[noreturn]] void fault(fmt::format_string<Args...> format, Args&&... args) {
  throw Fault{fmt::format(format, std::forward<Args>(args)...)};
}

class Budget {
 public:
  static constexpr size_t kMaxSteps = 1'000'000;
  static constexpr size_t kMaxOutput = size_t{8} << 20;   // of the rendering and of any one string
  static constexpr size_t kMaxBytes = size_t{512} << 20;  // of all strings and containers made on the way
  static constexpr int kMaxDepth = 100;                   // nested calls, values in values

  void step(size_t n = 1) {
    if (n > steps_) fault("more than {} steps", kMaxSteps);
    steps_ -= n;
  }
  /// Bytes about to be allocated.
  void bytes(size_t n) {
    if (n > kMaxOutput * 2) fault("a value of {} bytes exceeds {}", n, kMaxOutput * 2);
    if (n > bytes_) fault("more than {} bytes of values", kMaxBytes);
    bytes_ -= n;
  }
  void output(size_t total) const {
    if (total > kMaxOutput) fault("output exceeds {} bytes", kMaxOutput);
  }
  static void depth(int depth) {
    if (depth > kMaxDepth) fault("nested deeper than {}", kMaxDepth);
  }

 private:
  size_t steps_ = kMaxSteps;
  size_t bytes_ = kMaxBytes;
};

}  // namespace tenon::jinja
