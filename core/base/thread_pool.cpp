// The thread pool: SPMD teams with a counting barrier and shared work counters. Contract in thread_pool.hpp.
// Every wait is the same ladder (Gate): spin with pauses, yield, sleep on a futex. Written from spec/performance.md
// (threading: pure spinning collapses beside a busy neighbour, pure sleeping costs 20 us a step). No pinning: a
// pinned member waits behind whichever stranger shares its processor.
#include "base/thread_pool.hpp"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xmmintrin.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "base/error.hpp"

namespace tenon {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

constexpr int kMaxThreads = 512;
constexpr uint32_t kCounters = 16;  // for_each calls between two barriers without an extra barrier
constexpr microseconds kBarrierSpin{50};
constexpr microseconds kIdleSpin{100};
constexpr microseconds kYield{150};
constexpr unsigned kFlushDenormals = 0x8040;  // FTZ and DAZ of MXCSR

int usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
  const unsigned n = std::thread::hardware_concurrency();  // more than 1024 processors: the set is too small
  return n > 0 ? static_cast<int>(n) : 1;
}

/// Sets FTZ and DAZ for a scope: subnormal weights slow a kernel five times.
class FlushDenormals {
 public:
  FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | kFlushDenormals); }
  ~FlushDenormals() { _mm_setcsr(saved_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned saved_;
};

/// A counter that others wait to see advance.
class Gate {
 public:
  uint32_t value() const { return value_.load(std::memory_order_acquire); }

  void advance() {
    value_.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0)
      syscall(SYS_futex, &value_, FUTEX_WAKE_PRIVATE, kMaxThreads, nullptr, nullptr, 0);
  }

  /// Returns when the counter is no longer `seen`.
  void wait_past(uint32_t seen, microseconds spin) {
    if (spin.count() > 0 && poll(seen, spin, [] { _mm_pause(); })) return;
    if (poll(seen, kYield, [] { sched_yield(); })) return;
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    while (value_.load(std::memory_order_seq_cst) == seen)
      syscall(SYS_futex, &value_, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
    sleepers_.fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  template <typename Pause>
  bool poll(uint32_t seen, microseconds limit, Pause pause) const {
    const auto end = Clock::now() + limit;
    do {
      for (int i = 0; i < 32; ++i) {
        if (value() != seen) return true;
        pause();
      }
    } while (Clock::now() < end);
    return value() != seen;
  }

  static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t), "the kernel reads the word itself");
  alignas(64) std::atomic<uint32_t> value_{0};
  std::atomic<int> sleepers_{0};
};

struct alignas(64) Counter {
  std::atomic<int64_t> next{0};
};

}  // namespace

struct ThreadPool::Impl {
  int size = 1;
  microseconds barrier_spin = kBarrierSpin;
  microseconds idle_spin = kIdleSpin;

  std::atomic<bool> running{false};
  const std::function<void(const Team&)>* fn = nullptr;
  bool stop = false;
  Gate start;  // advances once per run; workers wait here between runs

  alignas(64) std::atomic<int> pending{0};  // members that have not come back from fn
  Gate done;

  alignas(64) std::atomic<int> arrived{0};
  Gate released;
  std::array<Counter, kCounters> counters;

  std::mutex error_mutex;
  std::exception_ptr error;
  std::vector<std::thread> workers;

  void reset_counters(uint32_t used) {
    for (uint32_t i = 0; i < used; ++i) counters[i].next.store(0, std::memory_order_relaxed);
  }

  void barrier(uint32_t counters_used) {
    const uint32_t seen = released.value();
    if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 < size) {
      released.wait_past(seen, barrier_spin);
      return;
    }
    reset_counters(counters_used);
    arrived.store(0, std::memory_order_relaxed);
    released.advance();
  }

  void run_member(const Team& team) {
    try {
      (*fn)(team);
    } catch (...) {
      const std::lock_guard lock(error_mutex);
      if (!error) error = std::current_exception();
    }
    if (pending.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
    reset_counters(kCounters);
    arrived.store(0, std::memory_order_relaxed);
    done.advance();
  }

  void worker(ThreadPool* pool, int rank) {
    const FlushDenormals flush;
    for (uint32_t seen = 0;; ++seen) {
      start.wait_past(seen, idle_spin);
      if (stop) return;
      run_member(Team(pool, rank, size));
    }
  }

  void join_all() {
    stop = true;
    start.advance();
    for (std::thread& t : workers) t.join();
  }
};

ThreadPool::ThreadPool(int threads) : impl_(std::make_unique<Impl>()) {
  if (threads < 0 || threads > kMaxThreads)
    fail(ErrorCode::usage, "[threads] {} is not in 0..{}", threads, kMaxThreads);
  const int processors = usable_processors();
  impl_->size = threads > 0 ? threads : std::min(processors, kMaxThreads);
  if (impl_->size > processors) impl_->barrier_spin = impl_->idle_spin = microseconds{0};
  try {
    for (int rank = 1; rank < impl_->size; ++rank)
      impl_->workers.emplace_back([this, rank] { impl_->worker(this, rank); });
  } catch (const std::system_error& e) {
    impl_->join_all();
    fail(ErrorCode::capacity, "[threads] only {} of {} threads could be started: {}", impl_->workers.size() + 1,
         impl_->size, e.what());
  }
}

ThreadPool::~ThreadPool() { impl_->join_all(); }

int ThreadPool::size() const { return impl_->size; }

void ThreadPool::run(const std::function<void(const Team&)>& fn) {
  Impl& p = *impl_;
  if (p.running.exchange(true, std::memory_order_acquire))
    fail(ErrorCode::internal, "[thread pool] run called while another run of the same pool is under way");
  const uint32_t seen = p.done.value();
  p.fn = &fn;
  p.pending.store(p.size, std::memory_order_relaxed);
  if (p.size > 1) p.start.advance();
  {
    const FlushDenormals flush;
    p.run_member(Team(this, 0, p.size));
  }
  p.done.wait_past(seen, p.barrier_spin);
  const std::exception_ptr error = std::exchange(p.error, nullptr);
  p.running.store(false, std::memory_order_release);
  if (error) std::rethrow_exception(error);
}

void Team::barrier() const {
  if (size_ > 1)
    pool_->impl_->barrier(for_each_calls_);
  else
    pool_->impl_->reset_counters(for_each_calls_);
  for_each_calls_ = 0;
}

std::pair<int64_t, int64_t> Team::share(int64_t n, int64_t align) const {
  const int64_t pieces = (n + align - 1) / align;
  const auto edge = [&](int64_t rank) { return std::min(n, pieces * rank / size_ * align); };
  return {edge(rank_), edge(rank_ + 1)};
}

std::atomic<int64_t>& Team::counter() const {
  // Every member makes the same calls, so all of them meet here when the ring is used up.
  if (for_each_calls_ == kCounters) barrier();
  return pool_->impl_->counters[for_each_calls_++].next;
}

}  // namespace tenon
