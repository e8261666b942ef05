#include "bandwidth.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "base/error.hpp"

namespace tenon::tool {

namespace {

constexpr size_t kTotalBytes = size_t{384} << 20;
constexpr int kStreams = 4;
constexpr int kPasses = 8;

typedef uint64_t Wide __attribute__((vector_size(32), may_alias, aligned(32)));

/// Reads `bytes` (a multiple of kStreams * 128) as four concurrent streams.
uint64_t read_streams(const std::byte* data, size_t bytes) {
  const size_t stride = bytes / kStreams;
  Wide sums[kStreams] = {};
  for (size_t i = 0; i < stride; i += 128)
    for (int s = 0; s < kStreams; ++s) {
      const auto* p = reinterpret_cast<const Wide*>(data + static_cast<size_t>(s) * stride + i);
      sums[s] += p[0] ^ p[1] ^ p[2] ^ p[3];
    }
  const Wide all = sums[0] + sums[1] + sums[2] + sums[3];
  return all[0] + all[1] + all[2] + all[3];
}

class Buffer {
 public:
  explicit Buffer(size_t bytes) : bytes_(bytes) {
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) fail(ErrorCode::capacity, "[bandwidth] no {} bytes of memory for the probe", bytes);
    madvise(p, bytes, MADV_HUGEPAGE);
    data_ = static_cast<std::byte*>(p);
  }
  ~Buffer() { munmap(data_, bytes_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  std::byte* data() const { return data_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_;
};

}  // namespace

double measure_read_bandwidth(int threads) {
  using Clock = std::chrono::steady_clock;
  const size_t n = static_cast<size_t>(std::max(threads, 1));
  const size_t share = kTotalBytes / n / 4096 * 4096;
  const Buffer buffer(share * n);
  std::barrier gate(static_cast<std::ptrdiff_t>(n));
  std::vector<double> passes(kPasses, 0);
  std::vector<uint64_t> sums(n);
  auto member = [&](size_t rank) {
    std::byte* mine = buffer.data() + rank * share;
    std::memset(mine, static_cast<int>(rank + 1), share);  // pages land near the thread that reads them
    for (int pass = 0; pass < kPasses; ++pass) {
      gate.arrive_and_wait();
      const Clock::time_point start = Clock::now();
      sums[rank] += read_streams(mine, share);
      asm volatile("" : : "m"(sums[rank]));  // the sum counts as used
      gate.arrive_and_wait();
      if (rank == 0) passes[static_cast<size_t>(pass)] = std::chrono::duration<double>(Clock::now() - start).count();
    }
  };
  {
    std::vector<std::jthread> others;
    for (size_t rank = 1; rank < n; ++rank) others.emplace_back(member, rank);
    member(0);
  }
  return static_cast<double>(share * n) / *std::min_element(passes.begin(), passes.end());
}

}  // namespace tenon::tool
