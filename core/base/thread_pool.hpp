// The one thread pool: SPMD teams. `run(fn)` calls fn(team) once on every member (rank 0 is the caller) and returns
// when all have come back. Inside, members meet at team.barrier() and share work through team.next().
// Waiting is a bounded spin, then yields, then a futex sleep, so that a busy neighbour cannot collapse it.
// Workers flush denormals (FTZ/DAZ) and may be pinned. oneDNN and OpenMP never start threads beside it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace tenon {

class ThreadPool;

/// One member's view of a running team. Not copyable across members; valid during the call only.
class Team {
 public:
  int rank() const { return rank_; }
  int size() const { return size_; }

  /// Returns when every member has arrived. Everything written before it is visible after it.
  void barrier() const;

  /// Hands out [begin, end) pieces of [0, n) in steps of at most `grain` until all are taken; each piece goes to one
  /// member. All members must call it with the same arguments, in the same order relative to barriers; it ends WITHOUT
  /// a barrier.
  template <typename Fn>
  void for_each(int64_t n, int64_t grain, Fn&& fn) const {
    std::atomic<int64_t>& next = counter();
    for (int64_t begin = next.fetch_add(grain, std::memory_order_relaxed); begin < n;
         begin = next.fetch_add(grain, std::memory_order_relaxed))
      fn(begin, begin + grain < n ? begin + grain : n);
  }

  /// This member's contiguous share of [0, n), rounded to multiples of `align`.
  std::pair<int64_t, int64_t> share(int64_t n, int64_t align = 1) const;

 private:
  friend class ThreadPool;
  Team(ThreadPool* pool, int rank, int size) : pool_(pool), rank_(rank), size_(size) {}
  std::atomic<int64_t>& counter() const;  // a fresh zeroed counter per for_each call; the members agree by call order
  ThreadPool* pool_;
  int rank_, size_;
  mutable uint32_t for_each_calls_ = 0;
};

class ThreadPool {
 public:
  /// `threads` members in all (the caller included), at least 1 and at most 512; 0 takes the processors this process
  /// may use.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;

  /// Runs fn on every member. One run at a time per pool (the caller serialises). An exception thrown by a member is
  /// rethrown here after all have returned, provided the throwing member left no barrier that the others wait at: so
  /// kernels do not throw.
  void run(const std::function<void(const Team&)>& fn);

 private:
  friend class Team;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tenon
