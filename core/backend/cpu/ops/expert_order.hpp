// The (token, choice) pairs of a step in the order of their experts. Every member of the team sorts for itself: it
// costs as much as to wait for one that does, and saves a barrier.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace tenon::cpu {

/// One expert's pairs: rows [first, first + rows) of the order, and its share of the work lists.
struct ExpertGroup {
  int32_t expert = 0;
  int64_t first = 0, rows = 0;
  uint64_t gate_act = 0, up_act = 0, down_act = 0;  // where its packed activations start
  int64_t up_piece = 0, down_piece = 0;             // columns per piece
  int64_t up_pieces = 0, down_pieces = 0;           // counts of pieces before this group's
};

class ExpertOrder {
 public:
  ExpertOrder(int64_t n_experts, int64_t max_pairs)
      : n_experts_(n_experts),
        counts_(static_cast<size_t>(n_experts + 1)),
        pair_of_(static_cast<size_t>(max_pairs)),
        row_of_(static_cast<size_t>(max_pairs)),
        groups_(static_cast<size_t>(std::min(max_pairs, n_experts))) {}

  /// Experts that nobody chose have no group. An id out of range, which no route gives, is brought into it.
  void sort(const int32_t* ids, int64_t pairs) {
    std::fill(counts_.begin(), counts_.end(), 0);
    for (int64_t p = 0; p < pairs; ++p) ++counts_[expert(ids[p]) + 1];
    n_groups_ = 0;
    for (size_t e = 0; e < static_cast<size_t>(n_experts_); ++e) {
      const int32_t rows = counts_[e + 1], first = counts_[e];
      counts_[e + 1] = first + rows;
      if (rows > 0) groups_[n_groups_++] = {static_cast<int32_t>(e), first, rows};
    }
    for (int64_t p = 0; p < pairs; ++p) {
      const int32_t row = counts_[expert(ids[p])]++;
      pair_of_[static_cast<size_t>(row)] = static_cast<int32_t>(p);
      row_of_[static_cast<size_t>(p)] = row;
    }
  }

  std::span<ExpertGroup> groups() { return {groups_.data(), n_groups_}; }
  std::span<const ExpertGroup> groups() const { return {groups_.data(), n_groups_}; }
  int64_t pair_of(int64_t row) const { return pair_of_[static_cast<size_t>(row)]; }
  int64_t row_of(int64_t pair) const { return row_of_[static_cast<size_t>(pair)]; }

 private:
  size_t expert(int32_t id) const { return static_cast<size_t>(std::clamp<int64_t>(id, 0, n_experts_ - 1)); }

  int64_t n_experts_;
  size_t n_groups_ = 0;
  std::vector<int32_t> counts_, pair_of_, row_of_;  // sorted row -> pair, pair -> sorted row
  std::vector<ExpertGroup> groups_;
};

}  // namespace tenon::cpu
