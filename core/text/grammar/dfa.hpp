// Deterministic automata over bytes: what regular constraints (literals, patterns, number ranges, formats) become.
// All of them are immutable and cheap to share; building them is bounded, Error{capacity} past the limits.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::grammar {

class Dfa {
 public:
  static constexpr uint32_t kDead = UINT32_MAX;
  static constexpr uint32_t kMaxStates = 1u << 16;

  /// The empty language.
  Dfa() = default;

  /// kDead when the language is empty.
  uint32_t start() const { return size() ? 0 : kDead; }
  /// The state after `byte`; kDead when no word of the language goes on like that. `state` is alive.
  uint32_t next(uint32_t state, uint8_t byte) const { return table_[state * n_classes_ + class_of_[byte]]; }
  /// True when what led to `state` is a word of the language.
  bool accepts(uint32_t state) const { return accepts_[state] != 0; }
  /// Every state can reach an accepting one.
  uint32_t size() const { return static_cast<uint32_t>(accepts_.size()); }
  bool empty() const { return accepts_.empty(); }

  /// Bytes of one class lead to the same state everywhere.
  uint32_t n_classes() const { return n_classes_; }
  uint8_t class_of(uint8_t byte) const { return class_of_[byte]; }

 private:
  friend class DfaBuilder;
  uint8_t class_of_[256] = {};
  uint32_t n_classes_ = 1;
  std::vector<uint32_t> table_;   // [size, n_classes]
  std::vector<uint8_t> accepts_;  // [size]
};
using DfaPtr = std::shared_ptr<const Dfa>;

/// Exactly these bytes.
Dfa literal(std::string_view bytes);
/// One of these words.
Dfa literals(std::span<const std::string_view> words);
/// Any well-formed UTF-8 text.
const Dfa& any_text();
/// UTF-8 texts of `min` to `max` code points.
Dfa text_of_length(uint32_t min, uint32_t max);

Dfa unite(const Dfa& a, const Dfa& b);
Dfa intersect(const Dfa& a, const Dfa& b);
/// The words of `a` that are none of `b`.
Dfa subtract(const Dfa& a, const Dfa& b);
Dfa concatenate(const Dfa& a, const Dfa& b);
/// `min` to `max` words of `a` one after another; kUnlimited for no end.
inline constexpr uint32_t kUnlimited = UINT32_MAX;
Dfa repeat(const Dfa& a, uint32_t min, uint32_t max);
bool same_language(const Dfa& a, const Dfa& b);
bool accepts(const Dfa& dfa, std::string_view word);
/// Number of words, at most `limit`; `limit` also when there are more or infinitely many.
uint64_t count_words(const Dfa& dfa, uint64_t limit);
/// Up to `limit` words in shortlex order, none longer than the automaton has states; fewer where that takes long.
std::vector<std::string> some_words(const Dfa& dfa, size_t limit);

/// Several disjoint languages in one automaton, which says at each of its ends whose word was read.
struct LabelledDfa {
  Dfa dfa;
  std::vector<int32_t> label;  // by state: the index of the language, -1 where none ends
};
/// Error{internal} naming the two when a word belongs to more than one.
LabelledDfa label(std::span<const Dfa* const> languages);

}  // namespace tenon::grammar
