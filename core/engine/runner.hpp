// The one way to run a step: rows of several sequences are gathered into a Batch, run, and their logits read.
// The engine, `logits` sessions and the benchmark all go through it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.hpp"
#include "engine/pages.hpp"
#include "engine/prefix.hpp"

namespace tenon {

struct RunnerLimits {
  int64_t max_tokens = 512;  // rows of a step
  int64_t max_rows = 512;    // rows with logits
  int64_t max_seqs = 64;
  int64_t n_ctx = 0;  // tokens of one sequence, prompt and answer together
  int64_t n_vocab = 0;
  bool whole = false;  // rows look ahead: all tokens of a sequence come in one step
};

/// A copy of what a sequence's state that does not grow was at one length; pages stay with the sequence. It holds one
/// of the runner's slots for as long as it lives, and must not outlive the runner.
class Snapshot {
 public:
  Snapshot(Snapshot&& other) noexcept { *this = std::move(other); }
  Snapshot& operator=(Snapshot&& other) noexcept;
  ~Snapshot();
  int64_t length() const { return length_; }

 private:
  friend class Runner;
  Snapshot(SeqPool& pool, const SeqCache& seq) : pool_(&pool), seq_(seq.id()), length_(seq.length()) {}

  SeqPool* pool_ = nullptr;
  uint64_t seq_ = 0;
  int64_t length_ = 0;
  int32_t slot_ = -1;  // an id of snapshot_slots()
};

/// An executable with its states and pages. Steps exclude each other, so several users may share one.
class Runner {
 public:
  /// Limits are lowered to what the pool's pages can hold.
  Runner(Executable& executable, StatePool& states, RunnerLimits limits);

  const RunnerLimits& limits() const { return limits_; }
  SeqPool& pages() { return pages_; }

  /// A sequence for `planned_len` tokens: Error{capacity} beyond n_ctx, nothing when pages are short at the moment.
  std::optional<SeqCache> admit(int64_t planned_len);
  /// The same, beginning with the pages that `prompt` shares with earlier sequences, all but its last token at most.
  /// `hold` keeps them and must outlive the sequence.
  std::optional<SeqCache> admit(int64_t planned_len, std::span<const int32_t> prompt, PrefixCache::Hold& hold);

  /// What makes cached values differ between sequences of equal tokens, by their planned length.
  using PrefixSalt = std::function<std::string(int64_t planned_len)>;
  /// Lets sequences share pages from now on; at most `most_idle` pages are kept that none uses.
  void reuse_prefixes(int64_t most_idle, PrefixSalt salt);
  /// Null when pages are not shared.
  PrefixCache* prefixes() { return prefixes_.get(); }

  /// Nothing when all slots for snapshots are taken. Waits for a step that runs.
  std::optional<Snapshot> snapshot(const SeqCache& seq);
  /// Sets `seq` back to the snapshot's length: what follows is as if nothing had been fed since. `seq` is the sequence
  /// it was taken of, or, of a model without paged state, any that was planned for that length; Error{usage} otherwise,
  /// and when a window's pages of that time are gone.
  void restore(SeqCache& seq, const Snapshot& snapshot);

 private:
  friend class Step;
  std::optional<SeqCache> admit_after(int64_t planned_len, std::span<const int32_t> shared);
  Executable& executable_;
  StatePool& states_;
  RunnerLimits limits_;
  SeqPool pages_;
  std::unique_ptr<PrefixCache> prefixes_;
  PrefixSalt prefix_salt_;
  std::mutex mutex_;
  std::vector<int32_t> tokens_, positions_, rows_;  // the step being gathered; kept to reuse their memory
  std::vector<SeqRows> seqs_;
};

enum class Rows : uint8_t { none, last, all };  // which rows of a piece want logits

/// One step from its first row to its logits. Holds the runner for as long as it lives.
class Step {
 public:
  explicit Step(Runner& runner);

  int64_t tokens_left() const;
  int64_t rows_left() const;
  int64_t seqs_left() const;

  /// Appends the next tokens of `seq`, at most one piece a sequence and step. Returns the index of the piece's first
  /// row of logits (meaningless for Rows::none). The caller keeps to the limits: Error{internal} otherwise.
  int64_t add(SeqCache& seq, std::span<const int32_t> tokens, Rows rows);

  bool empty() const { return runner_.tokens_.empty(); }
  /// Runs what was added; sequences grow when it has come back, and stay as they were when it throws.
  void run();
  /// Logits [n_vocab] of row `index`; valid until this Step goes.
  std::span<const float> logits(int64_t index) const;
  /// Any output of the graph by its name, as the executable has it; valid as long.
  std::span<const float> output(std::string_view name) const { return runner_.executable_.output(name); }

 private:
  Runner& runner_;
  std::lock_guard<std::mutex> lock_;
  std::vector<std::pair<SeqCache*, int64_t>> grown_;
};

}  // namespace tenon
