// Runs a grammar over bytes. States are made when they are first reached and kept, so a compiled grammar gets faster
// with use; one serves any number of sequences.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "text/grammar/grammar.hpp"

namespace tenon::grammar {

/// A place within a grammar; belongs to the Compiled that gave it and stays valid as long as it.
using State = uint32_t;
inline constexpr State kNoState = UINT32_MAX;

class Explorer;

/// Not thread-safe by itself: hold mutex() where several threads share one.
class Compiled {
 public:
  /// Error{unsupported} naming left recursion, Error{capacity} past limits.
  static std::shared_ptr<Compiled> compile(Grammar grammar);
  ~Compiled();

  /// kNoState when nothing at all matches.
  State start() const { return start_; }
  /// kNoState when `byte` cannot come here. Whatever is alive can be completed. Error{capacity} when the grammar made
  /// more states than it may.
  State next(State state, uint8_t byte) {
    const State known = table_[size_t{state} * n_classes_ + class_of_[byte]];
    return known != kUnexplored ? known : explore(state, byte);
  }
  /// True when the output may end here.
  bool accepts(State state) const { return accepts_[state] != 0; }
  /// Bytes of one class do the same everywhere.
  uint32_t n_classes() const { return n_classes_; }
  uint8_t class_of(uint8_t byte) const { return class_of_[byte]; }
  uint32_t n_states() const { return static_cast<uint32_t>(accepts_.size()); }
  std::mutex& mutex() { return mutex_; }

 private:
  static constexpr State kUnexplored = kNoState - 1;
  explicit Compiled(Grammar grammar);
  State explore(State state, uint8_t byte);
  void grow();

  std::unique_ptr<Explorer> explorer_;
  std::vector<State> table_;  // [states, n_classes]
  std::vector<uint8_t> accepts_;
  uint8_t class_of_[256] = {};
  uint32_t n_classes_ = 1;
  State start_ = kNoState;
  std::mutex mutex_;
};

/// -1: accepted as a whole; otherwise the first byte that cannot come, or the length of a text that lacks its end.
int64_t first_rejected(Compiled& grammar, std::string_view text);

}  // namespace tenon::grammar
