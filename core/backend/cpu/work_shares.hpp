// Work that streams through memory, dealt out in contiguous runs: each member takes ever shorter pieces of its own run,
// so that its streams are long, and then what is left in the others' runs, so that a busy neighbour only slows a share.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "base/thread_pool.hpp"

namespace tenon::cpu {

class WorkShares {
 public:
  explicit WorkShares(int threads) : slots_(static_cast<size_t>(threads)) {}

  /// Calls fn(begin, end) until pieces [0, pieces) are done. All members call it alike, and a barrier lies between two
  /// calls.
  template <typename Fn>
  void run(const Team& team, int64_t pieces, Fn&& fn) {
    if (team.size() == 1) return fn(int64_t{0}, pieces);
    Slot& own = slots_[static_cast<size_t>(team.rank())];
    const uint32_t set = own.calls++ & 1;
    own.next[set ^ 1].store(0, std::memory_order_relaxed);  // nobody uses the last call's counters any more
    for (int r = 0; r < team.size(); ++r) {
      const int member = (team.rank() + r) % team.size();
      const int64_t first = pieces * member / team.size(), count = pieces * (member + 1) / team.size() - first;
      std::atomic<int64_t>& next = slots_[static_cast<size_t>(member)].next[set];
      for (int64_t i = next.load(std::memory_order_relaxed); i < count;) {
        // Half of what is left, so that streams are long at first and members end together.
        const int64_t take = (count - i + 1) / 2;
        i = next.fetch_add(take, std::memory_order_relaxed);
        if (i < count) fn(first + i, first + std::min(i + take, count));
        i += take;
      }
    }
  }

 private:
  struct alignas(64) Slot {
    std::atomic<int64_t> next[2] = {0, 0};
    uint32_t calls = 0;
  };
  std::vector<Slot> slots_;
};

}  // namespace tenon::cpu
