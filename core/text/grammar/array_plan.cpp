#include "text/grammar/array_plan.hpp"

#include <algorithm>

namespace tenon::grammar {

ArrayPlan::ArrayPlan(const Array& array, const std::vector<uint8_t>& productive)
    : array_(array), productive_(&productive), limit_(array.max_items) {
  forced_.push_back(0);
  possible_.push_back(0);
  for (const Array::Item& item : array.prefix) {
    if (!ok(item.other) && !ok(item.matching)) limit_ = std::min<uint64_t>(limit_, forced_.size() - 1);
    forced_.push_back(forced_.back() + !ok(item.other));
    possible_.push_back(possible_.back() + ok(item.matching));
  }
  rest_forced_ = !ok(array.rest.other);
  rest_possible_ = ok(array.rest.matching);
  const uint64_t longest = distinct() ? array.distinct.size() : array.prefix.size();
  if (rest_forced_ && !rest_possible_) limit_ = std::min(limit_, longest);
  const bool bounded = limit_ != kUnbounded;
  counted_index_ = std::max<uint64_t>({array.prefix.size(), array.min_items, bounded ? limit_ : 0});
  counted_matching_ = std::max<uint64_t>(array.min_matching, array.max_matching == kUnbounded ? 0 : array.max_matching);
}

uint64_t ArrayPlan::sum(const std::vector<uint32_t>& sums, bool rest, uint64_t from, uint64_t to) const {
  const uint64_t n = array_.prefix.size(), a = std::min(from, n), b = std::min(to, n);
  return sums[b] - sums[a] + (rest && to > n ? to - std::max(from, n) : 0);
}

bool ArrayPlan::may_follow(uint64_t index, uint64_t set, size_t item) const {
  return index < limit_ && !(set >> item & 1) && ok(array_.distinct[item]) &&
         completable(index + 1, set | uint64_t{1} << item);
}

bool ArrayPlan::completable(uint64_t index, uint64_t matching) const {
  if (distinct()) {
    uint64_t length = index;
    for (size_t i = 0; i < array_.distinct.size(); ++i) length += !(matching >> i & 1) && ok(array_.distinct[i]);
    return index <= limit_ && std::min(length, limit_) >= array_.min_items;
  }
  uint64_t length = std::max<uint64_t>(index, array_.min_items);
  if (length > limit_) return false;
  const auto have = [&] { return matching + sum(possible_, rest_possible_, index, length); };
  while (length < array_.prefix.size() && length < limit_ && have() < array_.min_matching) ++length;
  if (have() < array_.min_matching) {
    if (!rest_possible_) return false;
    length += array_.min_matching - have();
  }
  return length <= limit_ && matching + sum(forced_, rest_forced_, index, length) <= array_.max_matching;
}

bool ArrayPlan::closable(uint64_t index, uint64_t matching) const {
  if (distinct()) return index >= array_.min_items && index <= limit_;
  return index >= array_.min_items && index <= limit_ && matching >= array_.min_matching &&
         matching <= array_.max_matching;
}

Array::Item ArrayPlan::item(uint64_t index, uint64_t matching) const {
  if (index >= limit_) return {};
  Array::Item item = index < array_.prefix.size() ? array_.prefix[index] : array_.rest;
  if (!ok(item.other) || !completable(index + 1, matching)) item.other = kNoNode;
  if (!ok(item.matching) || !completable(index + 1, matching + 1)) item.matching = kNoNode;
  return item;
}

}  // namespace tenon::grammar
