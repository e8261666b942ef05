// A stable merge sort that stays in bounds whatever the order says: template values can be inconsistent (NaN) or throw.
#pragma once

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

namespace tenon::jinja {

template <typename T, typename Less>
void merge_sort(std::vector<T>& items, Less&& less) {
  std::vector<T> merged;
  for (size_t width = 1; width < items.size(); width *= 2) {
    merged.clear();
    merged.reserve(items.size());
    for (size_t begin = 0; begin < items.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, items.size()), end = std::min(begin + 2 * width, items.size());
      size_t left = begin, right = middle;
      while (left < middle && right < end)
        merged.push_back(std::move(items[less(items[right], items[left]) ? right++ : left++]));
      while (left < middle) merged.push_back(std::move(items[left++]));
      while (right < end) merged.push_back(std::move(items[right++]));
    }
    items.swap(merged);
  }
}

}  // namespace tenon::jinja
