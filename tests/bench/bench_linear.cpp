// Speed of the CPU backend's matrix products as the executor runs them: GB/s of weights for few activation rows (the
// weights rotate over more memory than any cache holds) and Gops for many. Best of the repetitions: neighbours disturb.
#include <fmt/format.h>
#include <sys/mman.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "backend/cpu/linear.hpp"
#include "base/error.hpp"
#include "base/thread_pool.hpp"

using namespace tenon;
using namespace tenon::cpu;

namespace {

struct Options {
  int64_t n = 2048, k = 2048;
  std::vector<int64_t> m = {1, 512};
  std::vector<std::string> types = {"Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "BF16", "F16", "F32"};
  std::string force;
  int threads = 2, repeats = 20;
  int64_t megabytes = 256;
  bool exact = false;
};

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::byte* allocate(size_t bytes) {
  void* p = mmap(nullptr, bytes + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) fail(ErrorCode::capacity, "[bench] {} bytes could not be allocated", bytes);
  return static_cast<std::byte*>(p);
}

/// Random bits whose 16-bit words are finite as float16, bfloat16 and halves of float32.
void fill(std::byte* p, size_t bytes) {
  std::mt19937_64 random(1);
  for (size_t i = 0; i + 8 <= bytes; i += 8) {
    const uint64_t v = (random() & 0x83ff83ff83ff83ffull) | 0x2c002c002c002c00ull;
    std::memcpy(p + i, &v, 8);
  }
}

/// One type's weights, as many copies of [n, k] as the memory budget holds.
struct Weights {
  DType type;
  size_t bytes;
  int64_t copies;
  std::byte* data;
};

Weights make_weights(const Options& o, const std::string& name, std::byte* memory) {
  const auto type = dtype_from_name(name);
  if (!type) fail(ErrorCode::usage, "[bench] {} is no type", name);
  const size_t bytes = dtype_bytes(*type, static_cast<uint64_t>(o.n * o.k), "bench");
  return {*type, bytes, std::max<int64_t>(1, (o.megabytes << 20) / static_cast<int64_t>(bytes)), memory};
}

/// Seconds of one product per copy in the list, packing included, as one run of the pool.
double time_products(ThreadPool& pool, const LinearImpl& impl, const LinearShape& s, const Weights& w, int64_t first,
                     int64_t count, const float* x, float* y, std::byte* act, std::byte* scratch) {
  const int64_t row_bytes = static_cast<int64_t>(w.bytes) / s.n;
  const int64_t rows = std::max<int64_t>(1, (48 << 10) / row_bytes);
  const int64_t chunk = std::min((rows + impl.grain - 1) / impl.grain * impl.grain, s.n);
  const size_t own_scratch = (impl.scratch_bytes(s) + 63) / 64 * 64;
  const double start = now();
  pool.run([&](const Team& team) {
    for (int64_t i = 0; i < count; ++i) {
      if (impl.act) {
        team.for_each(impl.act->units(s.m, s.k), 1,
                      [&](int64_t b, int64_t e) { impl.act->pack(x, s.k, s.m, s.k, b, e, act); });
        team.barrier();
      }
      const std::byte* const data = w.data + static_cast<size_t>((first + i) % w.copies) * w.bytes;
      team.for_each(s.n, chunk, [&](int64_t b, int64_t e) {
        impl.run({data, x, s.k, act, y, s.n, b, e, scratch + own_scratch * static_cast<size_t>(team.rank()), s});
      });
      team.barrier();
    }
  });
  return (now() - start) / static_cast<double>(count);
}

void bench(ThreadPool& pool, const Options& o, const Weights& w, int64_t m, const LinearImpl& impl,
           const LinearShape& s) {
  std::vector<float> x(static_cast<size_t>(m * o.k)), y(static_cast<size_t>(m * o.n));
  std::mt19937 random(2);
  std::normal_distribution<float> value;
  for (float& v : x) v = value(random);
  std::byte* const act = allocate(impl.act ? impl.act->bytes(m, o.k) : 64);
  std::byte* const scratch = allocate((impl.scratch_bytes(s) + 64) * static_cast<size_t>(pool.size()));
  // Short windows: a long one always meets a neighbour.
  const int64_t count = m <= 2 ? std::max<int64_t>(1, (int64_t{12} << 20) / static_cast<int64_t>(w.bytes)) : 1;
  std::vector<double> times;
  for (int i = 0; i < o.repeats; ++i)
    times.push_back(time_products(pool, impl, s, w, i * count, count, x.data(), y.data(), act, scratch));
  std::sort(times.begin(), times.end());
  const double best = times.front(), median = times[times.size() / 2];
  const double gb = static_cast<double>(w.bytes) * 1e-9, gops = 2e-9 * static_cast<double>(m * o.n * o.k);
  fmt::print("{:5} n {:6} k {:5} m {:4} {:24} GB/s {:6.1f} (median {:6.1f})  Gops {:6.1f} (median {:6.1f})\n",
             dtype_info(w.type).name, o.n, o.k, m, impl.name, gb / best, gb / median, gops / best, gops / median);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Times the CPU backend's matrix products");
  app.add_option("-n", o.n, "Columns: rows of the weight");
  app.add_option("-k", o.k, "Depth");
  app.add_option("-m", o.m, "Rows of activations, several allowed");
  app.add_option("--types", o.types, "Weight types");
  app.add_option("--force", o.force, "Only implementations whose name holds this; `all` for every one that accepts");
  app.add_option("-t,--threads", o.threads, "Threads");
  app.add_option("-r,--repeats", o.repeats, "Repetitions");
  app.add_option("--megabytes", o.megabytes, "Weights to rotate over");
  app.add_flag("--exact", o.exact, "No rounding of activations");
  CLI11_PARSE(app, argc, argv);
  try {
    ThreadPool pool(o.threads);
    std::byte* const memory = allocate(static_cast<size_t>(o.megabytes << 20) + static_cast<size_t>(o.n * o.k * 4));
    fill(memory, static_cast<size_t>(o.megabytes << 20) + static_cast<size_t>(o.n * o.k * 4));
    fmt::print("isa {}, {} threads\n", cpu_isa(), pool.size());
    for (const std::string& type : o.types) {
      const Weights w = make_weights(o, type, memory);
      for (int64_t m : o.m) {
        const LinearShape s{w.type, o.n, o.k, m, o.exact};
        if (o.force.empty()) {
          bench(pool, o, w, m, choose_linear(s), s);
          continue;
        }
        for (const LinearImpl& impl : linear_impls())
          if (!impl.refuse(s) && (o.force == "all" || std::string_view(impl.name).find(o.force) != std::string::npos))
            bench(pool, o, w, m, impl, s);
      }
    }
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
}
