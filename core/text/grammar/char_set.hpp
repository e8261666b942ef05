// Sets of characters, as regular expressions and grammars write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "text/grammar/dfa.hpp"

namespace tenon::grammar {

class CharSet {
 public:
  static constexpr int32_t kLast = 0x10FFFF;
  using Range = std::pair<int32_t, int32_t>;  // both ends belong to it

  CharSet() = default;
  CharSet(std::initializer_list<Range> ranges) : ranges_(ranges) { tidy(); }
  static CharSet all() { return {{0, kLast}}; }
  /// A general category or another property by its Unicode name ("Lu", "Letter", "ASCII", "White_Space"); nothing for
  /// one that is not known here.
  static std::optional<CharSet> property(std::string_view name);

  void add(int32_t first, int32_t last) {
    ranges_.emplace_back(first, last);
    tidy();
  }
  void add(const CharSet& other);
  CharSet inverted() const;
  /// With the other case of its letters.
  CharSet any_case() const;
  /// Sorted, apart from each other.
  const std::vector<Range>& ranges() const { return ranges_; }

 private:
  void tidy();
  std::vector<Range> ranges_;
};

/// One character of the set, in UTF-8.
Dfa one_of(const CharSet& set);

}  // namespace tenon::grammar
