#include "units.hpp"

#include <fmt/format.h>

namespace tenon::tool {

std::string human_bytes(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  auto n = static_cast<double>(bytes);
  for (; n >= 1000 && unit + 1 < std::size(kUnits); ++unit) n /= 1000;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", n, kUnits[unit]);
}

}  // namespace tenon::tool
