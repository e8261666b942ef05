// What may still happen in an array, so that it is never begun or continued into a dead end.
#pragma once

#include <cstdint>
#include <vector>

#include "text/grammar/grammar.hpp"

namespace tenon::grammar {

class ArrayPlan {
 public:
  /// `productive`, by node: something finite matches it.
  ArrayPlan(const Array& array, const std::vector<uint8_t>& productive);

  /// Can an array of which `index` items were read, `matching` of them matching, still be completed?
  bool completable(uint64_t index, uint64_t matching) const;
  bool closable(uint64_t index, uint64_t matching) const;
  /// The nodes that may read item number `index`, kNoNode where none may.
  Array::Item item(uint64_t index, uint64_t matching) const;
  /// Where items are distinct, `matching` is the set of those that were there, a bit each.
  bool distinct() const { return !array_.distinct.empty(); }
  bool may_follow(uint64_t index, uint64_t set, size_t item) const;
  /// Counts past these make no difference.
  uint64_t counted_index() const { return counted_index_; }
  uint64_t counted_matching() const { return counted_matching_; }

 private:
  bool ok(NodeId node) const { return node != kNoNode && (*productive_)[node]; }
  uint64_t sum(const std::vector<uint32_t>& sums, bool rest, uint64_t from, uint64_t to) const;
  const Array& array_;
  const std::vector<uint8_t>* productive_;
  uint64_t limit_;                           // no array is longer
  std::vector<uint32_t> forced_, possible_;  // among the first i of the prefix: items that must, can be matching
  bool rest_forced_, rest_possible_;
  uint64_t counted_index_, counted_matching_;
};

}  // namespace tenon::grammar
