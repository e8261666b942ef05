// Making automata: from state tables, and from nondeterministic automata with empty moves. What comes out is trimmed,
// minimal and compressed.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "text/grammar/dfa.hpp"

namespace tenon::grammar {

/// Classes of bytes that no part of a construction tells apart.
class ByteClasses {
 public:
  /// Tells the bytes first..last apart from the others.
  void cut(uint8_t first, uint8_t last) { starts_[first] = starts_[last + 1] = true; }
  void refine(const Dfa& dfa);
  /// Numbers the classes; no cuts afterwards.
  void close();
  uint32_t size() const { return static_cast<uint32_t>(sample_.size()); }
  uint8_t of(uint8_t byte) const { return of_[byte]; }
  /// A byte of the class.
  uint8_t sample(uint32_t kind) const { return sample_[kind]; }

 private:
  bool starts_[257] = {true};
  uint8_t of_[256] = {};
  std::vector<uint8_t> sample_;
};

/// A table of states; the first one is the start. Error{capacity} past Dfa::kMaxStates.
class DfaBuilder {
 public:
  explicit DfaBuilder(ByteClasses classes) : classes_(std::move(classes)) {}
  uint32_t add_state(bool accepts);
  void set(uint32_t state, uint32_t kind, uint32_t next) { table_[state * classes_.size() + kind] = next; }
  const ByteClasses& classes() const { return classes_; }
  uint32_t size() const { return static_cast<uint32_t>(accepts_.size()); }

  Dfa finish() &&;
  /// The states as they are, for a caller who has numbered them; all must be alive.
  Dfa finish_as_is() &&;

 private:
  void trim();
  std::vector<uint32_t> blocks() const;
  Dfa quotient(const std::vector<uint32_t>& block_of) const;
  ByteClasses classes_;
  std::vector<uint32_t> table_;
  std::vector<uint8_t> accepts_;
};

/// visit(first, last, next): the runs of bytes that lead from a state to a living one.
template <class Visit>
void for_each_run(const Dfa& dfa, uint32_t state, Visit visit) {
  for (int b = 0; b < 256;) {
    const uint32_t next = dfa.next(state, static_cast<uint8_t>(b));
    const int first = b;
    while (b < 256 && dfa.next(state, static_cast<uint8_t>(b)) == next) ++b;
    if (next != Dfa::kDead) visit(static_cast<uint8_t>(first), static_cast<uint8_t>(b - 1), next);
  }
}

/// A nondeterministic automaton under construction.
class Nfa {
 public:
  uint32_t add_state();
  void edge(uint32_t from, uint8_t first, uint8_t last, uint32_t to);
  void empty_edge(uint32_t from, uint32_t to);
  /// Between the two, the characters first..last (surrogates left out) in UTF-8.
  void characters(uint32_t from, int32_t first, int32_t last, uint32_t to);
  uint32_t size() const { return static_cast<uint32_t>(states_.size()); }

  struct Edge {
    uint8_t first, last;
    uint32_t to;
  };
  const std::vector<Edge>& edges(uint32_t state) const { return states_[state].edges; }
  const std::vector<uint32_t>& empty_edges(uint32_t state) const { return states_[state].empty; }

  /// Error{capacity} when there are too many sets of states.
  Dfa determinize(uint32_t start, uint32_t accept) const;

 private:
  struct State {
    std::vector<Edge> edges;
    std::vector<uint32_t> empty;
  };
  void byte_ranges(uint32_t from, const uint8_t* first, const uint8_t* last, int n, uint32_t to);
  std::vector<State> states_;
};

}  // namespace tenon::grammar
