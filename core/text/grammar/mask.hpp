// Which tokens may come next under a grammar. Masks are kept by state; the states of a JSON string take all plain
// tokens at once, so that only the small rest of the vocabulary is walked.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "text/grammar/matcher.hpp"
#include "text/grammar/vocabulary_trie.hpp"

namespace tenon::grammar {

/// A grammar over a vocabulary. Thread-safe: serves any number of sequences.
class TokenMasks {
 public:
  /// Error{usage} when nothing at all matches.
  TokenMasks(std::shared_ptr<Compiled> grammar, std::shared_ptr<const VocabularyTrie> vocabulary);

  State start() const { return grammar_->start(); }
  /// The tokens after which the text can be completed; ids that end a generation are never among them, see accepts().
  /// Errors as Compiled::next.
  std::shared_ptr<const Mask> mask(State state);
  /// kNoState when the token cannot come here.
  State after(State state, int32_t token);
  /// True when the text may end here.
  bool accepts(State state);
  /// True when the text ends here: no token may follow.
  bool complete(State state);
  const VocabularyTrie& vocabulary() const { return *vocabulary_; }

 private:
  /// A character of plain text, as a path of byte ranges.
  struct Range {
    uint8_t first, last;
    int next;  // index of what follows, -1: the character ends
  };
  struct Step {
    uint8_t byte;  // stands for its class
    int next;
  };
  enum class Reach { none, some, all };

  std::shared_ptr<const Mask> compute(State state);
  void walk(const TokenTrie& trie, State state, Mask& mask);
  uint32_t plain_reach(State state, bool& endless);
  Reach one_character(State state, std::vector<State>& after);
  void plan_characters();
  State after_bytes(State state, std::string_view bytes);

  std::shared_ptr<Compiled> grammar_;
  std::shared_ptr<const VocabularyTrie> vocabulary_;
  std::vector<std::vector<Step>> steps_;  // plain characters, each class of bytes once
  std::unordered_map<State, std::shared_ptr<const Mask>> masks_;
  std::vector<State> path_;
};

}  // namespace tenon::grammar
