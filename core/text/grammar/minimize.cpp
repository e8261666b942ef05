#include "text/grammar/minimize.hpp"

#include <algorithm>
#include <numeric>

namespace tenon::grammar {
namespace {

/// Sets of numbers that split in two: the marked ones of each set against the rest.
class Partition {
 public:
  explicit Partition(uint32_t n) : items_(n), place_(n), set_of_(n, 0) {
    std::iota(items_.begin(), items_.end(), 0);
    std::iota(place_.begin(), place_.end(), 0);
    if (n > 0) sets_.push_back({0, n, 0});
  }

  uint32_t n_sets() const { return static_cast<uint32_t>(sets_.size()); }
  uint32_t set_of(uint32_t item) const { return set_of_[item]; }
  std::span<const uint32_t> set(uint32_t s) const {
    return std::span(items_).subspan(sets_[s].first, sets_[s].past - sets_[s].first);
  }

  void mark(uint32_t item) {
    Set& s = sets_[set_of_[item]];
    const uint32_t at = place_[item], to = s.first + s.marked;
    if (at < to) return;
    items_[at] = items_[to];
    place_[items_[at]] = at;
    items_[to] = item;
    place_[item] = to;
    if (s.marked++ == 0) touched_.push_back(set_of_[item]);
  }

  /// The smaller half of every split set becomes a new one.
  void split() {
    for (uint32_t number : touched_) {
      const uint32_t middle = sets_[number].first + sets_[number].marked;
      sets_[number].marked = 0;
      if (middle == sets_[number].past) continue;
      Set fresh{middle, sets_[number].past, 0};
      if (middle - sets_[number].first <= fresh.past - middle) {
        fresh = {sets_[number].first, middle, 0};
        sets_[number].first = middle;
      } else {
        sets_[number].past = middle;
      }
      for (uint32_t i = fresh.first; i < fresh.past; ++i) set_of_[items_[i]] = n_sets();
      sets_.push_back(fresh);
    }
    touched_.clear();
  }

 private:
  struct Set {
    uint32_t first, past, marked;
  };
  std::vector<uint32_t> items_, place_, set_of_;
  std::vector<Set> sets_;
  std::vector<uint32_t> touched_;
};

}  // namespace

std::vector<uint32_t> minimal_blocks(uint32_t n_states, std::span<const uint8_t> accepts,
                                     std::vector<Transition> transitions) {
  Partition blocks(n_states);
  for (uint32_t s = 0; s < n_states; ++s)
    if (accepts[s]) blocks.mark(s);
  blocks.split();

  // Transitions of one label that end in one block belong together.
  std::sort(transitions.begin(), transitions.end(), [](const auto& a, const auto& b) { return a.label < b.label; });
  const auto n = static_cast<uint32_t>(transitions.size());
  Partition cords(n);
  for (uint32_t i = 0, begin = 0; i < n; i = begin) {
    while (begin < n && transitions[begin].label == transitions[i].label) ++begin;
    for (uint32_t t = i; t < begin && i > 0; ++t) cords.mark(t);
    cords.split();
  }
  std::vector<uint32_t> into_first(n_states + 1, 0), into(n);
  for (const Transition& t : transitions) ++into_first[t.to + 1];
  std::partial_sum(into_first.begin(), into_first.end(), into_first.begin());
  std::vector<uint32_t> fill(into_first.begin(), into_first.end() - 1);
  for (uint32_t i = 0; i < n; ++i) into[fill[transitions[i].to]++] = i;

  for (uint32_t cord = 0, block = 1; cord < cords.n_sets(); ++cord) {
    for (uint32_t t : cords.set(cord)) blocks.mark(transitions[t].from);
    blocks.split();
    for (; block < blocks.n_sets(); ++block) {
      for (uint32_t s : blocks.set(block))
        for (uint32_t i = into_first[s]; i < into_first[s + 1]; ++i) cords.mark(into[i]);
      cords.split();
    }
  }
  std::vector<uint32_t> out(n_states);
  for (uint32_t s = 0; s < n_states; ++s) out[s] = blocks.set_of(s);
  return out;
}

}  // namespace tenon::grammar
