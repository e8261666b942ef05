// The pool under every use the engine makes of it, oversubscription and neighbours included.
#include "base/thread_pool.hpp"

#include <doctest/doctest.h>
#include <xmmintrin.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/error.hpp"

using tenon::Team;
using tenon::ThreadPool;

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Each member adds its rank between barriers; every member must read the whole sum after each.
void check_barriers(ThreadPool& pool, int rounds) {
  std::vector<int64_t> slots(static_cast<size_t>(pool.size()), 0);
  std::atomic<int> wrong{0};
  pool.run([&](const Team& team) {
    for (int round = 1; round <= rounds; ++round) {
      slots[static_cast<size_t>(team.rank())] = round;
      team.barrier();
      for (int64_t value : slots)
        if (value != round) wrong.fetch_add(1);
      team.barrier();
    }
  });
  CHECK(wrong.load() == 0);
}

}  // namespace

TEST_CASE("every member runs once, with its rank") {
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    CHECK(pool.size() == threads);
    std::vector<std::atomic<int>> seen(static_cast<size_t>(threads));
    for (int i = 0; i < 50; ++i) pool.run([&](const Team& team) { seen[static_cast<size_t>(team.rank())]++; });
    for (const auto& count : seen) CHECK(count.load() == 50);
  }
}

TEST_CASE("zero threads means the processors at hand, and wrong counts are refused") {
  CHECK(ThreadPool().size() >= 1);
  CHECK_THROWS_AS(ThreadPool(-1), tenon::Error);
  CHECK_THROWS_AS(ThreadPool(513), tenon::Error);
}

TEST_CASE("a barrier publishes what was written before it") {
  ThreadPool pool(2);
  check_barriers(pool, 5000);
}

TEST_CASE("oversubscribed barriers do not collapse") {
  ThreadPool pool(8);
  const auto start = std::chrono::steady_clock::now();
  check_barriers(pool, 5000);  // 10,000 barriers
  CHECK(seconds_since(start) < 10.0);
}

TEST_CASE("for_each hands out every piece once, more calls than counters included") {
  ThreadPool pool(3);
  constexpr int kCalls = 100;
  std::vector<std::atomic<int>> taken(1000);
  pool.run([&](const Team& team) {
    for (int call = 0; call < kCalls; ++call) {
      team.for_each(1000, 7, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) taken[static_cast<size_t>(i)]++;
      });
      if (call % 23 == 0) team.barrier();
    }
  });
  int wrong = 0;
  for (const auto& count : taken) wrong += count.load() != kCalls;
  CHECK(wrong == 0);
}

TEST_CASE("counters start afresh in the next run and with one member") {
  for (int threads : {1, 2}) {
    ThreadPool pool(threads);
    for (int i = 0; i < 40; ++i) {
      std::atomic<int64_t> sum{0};
      pool.run([&](const Team& team) {
        for (int j = 0; j < 20; ++j) team.for_each(10, 3, [&](int64_t b, int64_t e) { sum += e - b; });
        team.for_each(0, 1, [&](int64_t, int64_t) { sum += 1000; });
      });
      CHECK(sum.load() == 200);
    }
  }
}

TEST_CASE("shares cover the range in aligned pieces") {
  ThreadPool pool(3);
  std::vector<std::pair<int64_t, int64_t>> shares(3);
  for (int64_t n : {0, 1, 16, 17, 100, 1000}) {
    pool.run([&](const Team& team) { shares[static_cast<size_t>(team.rank())] = team.share(n, 16); });
    CHECK(shares[0].first == 0);
    CHECK(shares[2].second == n);
    for (size_t i = 0; i + 1 < 3; ++i) {
      CHECK(shares[i].second == shares[i + 1].first);
      CHECK((shares[i].second % 16 == 0 || shares[i].second == n));
    }
  }
}

TEST_CASE("an exception of any member reaches the caller and the pool lives on") {
  ThreadPool pool(2);
  for (int thrower : {0, 1}) {
    CHECK_THROWS_WITH(pool.run([&](const Team& team) {
      if (team.rank() == thrower) throw std::runtime_error("boom");
    }),
                      "boom");
    check_barriers(pool, 10);
  }
}

TEST_CASE("nested use of one pool is refused, another pool is not") {
  ThreadPool pool(2), other(2);
  CHECK_THROWS_AS(pool.run([&](const Team& team) {
    if (team.rank() == 0) pool.run([](const Team&) {});
  }),
                  tenon::Error);
  std::atomic<int> inner{0};
  pool.run([&](const Team& team) {
    if (team.rank() == 0) other.run([&](const Team&) { inner++; });
  });
  CHECK(inner.load() == 2);
}

TEST_CASE("two pools work at once") {
  ThreadPool a(2), b(2);
  std::thread beside([&] { check_barriers(b, 2000); });
  check_barriers(a, 2000);
  beside.join();
}

TEST_CASE("sleeping members wake") {
  ThreadPool pool(3);
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    std::atomic<int> count{0};
    pool.run([&](const Team& team) {
      if (team.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      team.barrier();
      count++;
    });
    CHECK(count.load() == 3);
  }
}

TEST_CASE("subnormals are flushed during a run only") {
  const unsigned before = _mm_getcsr();
  ThreadPool pool(2);
  std::atomic<int> flushing{0};
  pool.run([&](const Team&) { flushing += (_mm_getcsr() & 0x8040) == 0x8040; });
  CHECK(flushing.load() == 2);
  CHECK(_mm_getcsr() == before);
}
