// How much memory is free: /proc/meminfo, and the control group's limit where there is one.
#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

#include "engine/model.hpp"

namespace tenon {
namespace {

/// The number after `key` in a file of "key number ..." lines; with an empty key the file's first number.
std::optional<uint64_t> read_number(const char* path, const std::string& key = {}) {
  std::ifstream in(path);
  std::string word;
  uint64_t n = 0;
  if (key.empty()) return in >> n ? std::optional(n) : std::nullopt;  // absent, or "max"
  for (std::string line; in >> word; std::getline(in, line))
    if (word == key) return in >> n ? std::optional(n) : std::nullopt;
  return std::nullopt;
}

struct Group {
  const char *limit, *stat, *used_key;
};
constexpr Group kGroups[] = {
    {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.stat", "anon"},
    {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.stat", "total_rss"}};

}  // namespace

uint64_t available_memory() {
  constexpr uint64_t kUnknown = uint64_t{1} << 30;
  const auto free_kib = read_number("/proc/meminfo", "MemAvailable:");
  uint64_t least = free_kib ? *free_kib << 10 : kUnknown;
  for (const Group& group : kGroups) {  // cached file pages of the group can be dropped and do not count
    const auto limit = read_number(group.limit);
    if (limit) least = std::min(least, *limit - std::min(*limit, read_number(group.stat, group.used_key).value_or(0)));
  }
  return least;
}

}  // namespace tenon
