// A stand-in for a compiled model: its "KV cache" stores token ids in pages, and a row's logits are noise seeded by all
// tokens that the row can see through its page list. Wrong pages, positions or rows change the numbers. It also checks
// the promises that the engine makes to backends.
#pragma once

#include <doctest/doctest.h>

#include <limits>
#include <set>
#include <stdexcept>
#include <vector>

#include "backend/backend.hpp"
#include "engine/runner.hpp"

namespace tenon::test {

inline constexpr int64_t kVocab = 61;
inline constexpr int32_t kPoison = 60;  // a sequence that holds this token has NaN logits

class FakeStates : public StatePool {
 public:
  explicit FakeStates(int32_t n_pages)
      : slots(static_cast<size_t>(n_pages) * kPageTokens, -1), groups_{{0, n_pages, kPageTokens * sizeof(int32_t)}} {}
  std::span<const Group> groups() const override { return groups_; }
  int32_t n_slots() const override { return 0; }
  uint64_t bytes_per_slot() const override { return 0; }
  void copy_slot(int32_t, int32_t) override { FAIL("no slots here"); }
  std::vector<int32_t> slots;

 private:
  std::vector<Group> groups_;
};

class FakeExecutable : public Executable {
 public:
  explicit FakeExecutable(const RunnerLimits& limits) : limits_(limits) {}

  void run(const Batch& batch, StatePool& pool) override {
    ++steps;
    if (throw_at_step == steps) throw std::runtime_error("the device is gone");
    check(batch, pool.groups()[0].n_pages);
    auto& slots = dynamic_cast<FakeStates&>(pool).slots;
    std::vector<uint64_t> seen(batch.tokens.size());
    for (const SeqRows& s : batch.seqs)
      for (int32_t i = 0; i < s.n_rows; ++i) {
        slots[slot(s, s.pos + i)] = batch.tokens[static_cast<size_t>(s.first_row + i)];
        seen[static_cast<size_t>(s.first_row + i)] = hash(slots, s, s.pos + i);
      }
    logits_.clear();
    for (int32_t row : batch.rows) append_logits(seen[static_cast<size_t>(row)]);
    last_pieces.clear();
    for (const SeqRows& s : batch.seqs) last_pieces.push_back(s.n_rows);
  }

  std::span<const float> output(std::string_view) const override { return logits_; }
  std::vector<std::string> explain() const override { return {}; }
  uint64_t arena_bytes() const override { return 0; }

  int64_t steps = 0, throw_at_step = -1;
  std::vector<int32_t> last_pieces;

 private:
  static size_t slot(const SeqRows& s, int32_t pos) {
    const auto page = s.pages[0][static_cast<size_t>(pos / kPageTokens)];
    return static_cast<size_t>(page) * kPageTokens + static_cast<size_t>(pos % kPageTokens);
  }

  static uint64_t hash(const std::vector<int32_t>& slots, const SeqRows& s, int32_t last) {
    uint64_t h = 1;
    for (int32_t p = 0; p <= last; ++p) {
      const int32_t token = slots[slot(s, p)];
      if (token == kPoison) return 0;
      h = (h ^ static_cast<uint64_t>(token + 7)) * 0x9e3779b97f4a7c15u;
      h ^= h >> 29;
    }
    return h | 1;
  }

  void append_logits(uint64_t h) {
    for (int64_t v = 0; v < kVocab; ++v) {
      const double u = uniform_noise(h, static_cast<uint64_t>(v));
      // The poison token must come from prompts only.
      if (v == kPoison)
        logits_.push_back(-std::numeric_limits<float>::infinity());
      else
        logits_.push_back(h == 0 ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(u * 8 - 4));
    }
  }

  static double uniform_noise(uint64_t h, uint64_t v) {
    uint64_t x = h + v * 0xd1342543de82ef95u;
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
    return static_cast<double>((x ^ (x >> 32)) >> 11) * 0x1p-53;
  }

  void check(const Batch& b, int32_t n_pages) const {
    const auto n = static_cast<int64_t>(b.tokens.size());
    REQUIRE(n >= 1);
    REQUIRE(n <= limits_.max_tokens);
    REQUIRE(static_cast<int64_t>(b.rows.size()) <= limits_.max_rows);
    REQUIRE(static_cast<int64_t>(b.seqs.size()) <= limits_.max_seqs);
    REQUIRE(b.positions.size() == b.tokens.size());
    std::set<int32_t> read, written;  // sequences may share full pages only
    int32_t row = 0;
    for (const SeqRows& s : b.seqs) {
      REQUIRE(s.first_row == row);
      REQUIRE(s.n_rows >= 1);
      row += s.n_rows;
      REQUIRE(s.planned_len >= s.pos + s.n_rows);
      REQUIRE(s.planned_len <= limits_.n_ctx);
      REQUIRE(s.pages.size() == 1);
      REQUIRE(static_cast<int64_t>(s.pages[0].size()) >= pages_for(s.pos + s.n_rows));
      std::set<int32_t> own;
      for (size_t i = 0; i < s.pages[0].size(); ++i) {
        const int32_t page = s.pages[0][i];
        REQUIRE(page >= 0);
        REQUIRE(page < n_pages);
        REQUIRE(own.insert(page).second);
        if (i < static_cast<size_t>(s.pos / kPageTokens))
          read.insert(page);
        else
          REQUIRE(written.insert(page).second);
      }
      for (int32_t i = 0; i < s.n_rows; ++i) REQUIRE(b.positions[static_cast<size_t>(s.first_row + i)] == s.pos + i);
    }
    REQUIRE(row == n);
    for (int32_t page : written) REQUIRE(!read.contains(page));
    for (int32_t r : b.rows) REQUIRE((r >= 0 && r < n));
  }

  RunnerLimits limits_;
  std::vector<float> logits_;
};

inline RunnerLimits fake_limits(int64_t max_tokens = 48, int64_t n_ctx = 200, int64_t max_seqs = 8) {
  return {.max_tokens = max_tokens, .max_rows = max_tokens, .max_seqs = max_seqs, .n_ctx = n_ctx, .n_vocab = kVocab};
}

/// A runner over a fake model.
struct FakeModel {
  explicit FakeModel(RunnerLimits limits = fake_limits(), int32_t n_pages = 64, int64_t most_idle = 0)
      : executable(limits), states(n_pages), runner(executable, states, limits) {
    if (most_idle > 0) runner.reuse_prefixes(most_idle, [](int64_t) { return std::string(); });
  }
  FakeExecutable executable;
  FakeStates states;
  Runner runner;

  /// But for those that lie idle in the prefix cache.
  bool pages_are_back() const {
    const PrefixCache* cache = const_cast<FakeModel*>(this)->runner.prefixes();
    const int64_t idle = cache ? cache->idle() : 0;
    return pages().used() == idle && pages().reserved() == 0 && (!cache || cache->pages() == idle);
  }
  const SeqPool& pages() const { return const_cast<FakeModel*>(this)->runner.pages(); }
};

}  // namespace tenon::test
