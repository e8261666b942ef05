// Work on a range, cut into pieces for several threads. For loading; what runs again and again has the thread pool.
#pragma once

#include <algorithm>
#include <cstddef>
#include <future>
#include <thread>
#include <vector>

namespace tenon {

/// work(begin, end) for pieces of 0..n, none smaller than `least`, side by side. The first piece's error is thrown when
/// all have ended.
template <typename Work>
void in_chunks(size_t n, size_t least, const Work& work) {
  constexpr size_t kMostThreads = 8;
  const size_t pieces =
      std::clamp<size_t>(std::min<size_t>(std::thread::hardware_concurrency(), n / least), 1, kMostThreads);
  std::vector<std::future<void>> others;
  for (size_t i = 1; i < pieces; ++i)
    others.push_back(std::async(std::launch::async, [&, i] { work(n * i / pieces, n * (i + 1) / pieces); }));
  std::exception_ptr error;
  try {
    work(0, n / pieces);
  } catch (...) {
    error = std::current_exception();
  }
  for (std::future<void>& other : others) {
    try {
      other.get();
    } catch (...) {
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace tenon
