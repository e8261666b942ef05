// A short list of the best of many, kept in order: one comparison for each that does not belong in it.
#pragma once

#include <cstdint>

namespace tenon::cpu {

struct Best {
  const float* keys;
  int32_t* ids;  // [k], best first
  int64_t k, count = 0;

  /// Indices [begin, end), above all that were offered before: among equals the lower index stays in front.
  void offer(int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (count == k && !(keys[i] > keys[ids[k - 1]])) continue;
      int64_t at = count < k ? count++ : k - 1;
      for (; at > 0 && keys[i] > keys[ids[at - 1]]; --at) ids[at] = ids[at - 1];
      ids[at] = static_cast<int32_t>(i);
    }
  }
};

}  // namespace tenon::cpu
