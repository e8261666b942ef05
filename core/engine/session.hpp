// Logits of given tokens, fed in the caller's pieces: what `tenon logits` and perplexity need. Steps like the engine's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/runner.hpp"

namespace tenon {

struct SessionOptions {
  int64_t planned_len = 0;  // tokens that will be appended in all
  int copies = 1;           // identical sequences side by side
  bool filler = false;      // and another one of other length and content before them
};

class Session {
 public:
  /// Error{capacity} when the context or the pages do not suffice.
  Session(Runner& runner, const SessionOptions& options);

  /// Feeds `tokens` to every copy, in one step where the limits allow it, and appends the logits of the wanted rows of
  /// copy 0, [rows, n_vocab], to `out`. Error{usage} for ids outside the vocabulary.
  void append(std::span<const int32_t> tokens, Rows rows, std::vector<float>& out);

  /// What every copy is now, to go back to. Error{capacity} when slots for snapshots are short.
  std::vector<Snapshot> snapshot();
  /// Back to what `snapshot` was taken of: this session.
  void restore(const std::vector<Snapshot>& snapshot);

  int64_t length() const { return copies_.front().length(); }

 private:
  int64_t piece_size(Rows rows) const;
  void run_piece(std::span<const int32_t> tokens, Rows rows, std::vector<float>& out);
  std::vector<int32_t> filler_tokens(int64_t n);

  Runner& runner_;
  std::vector<SeqCache> copies_;
  std::optional<SeqCache> filler_;
  uint64_t filler_step_ = 0;
};

}  // namespace tenon
