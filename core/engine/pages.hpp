// KV pages: a free list with reservations, and a sequence's share of it. A sequence is admitted only when all pages it
// was planned for can be reserved, so that a running one never waits for another: no deadlock, no preemption.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

namespace tenon {

/// Pages that `tokens` positions need.
int64_t pages_for(int64_t tokens);

/// Thread-safe. Recently returned pages are handed out first, so that memory once touched is used again.
class PagePool {
 public:
  explicit PagePool(int32_t n_pages) : total_(n_pages) {}

  /// Sets `n` pages aside; false (and nothing changes) when fewer are left.
  bool reserve(int64_t n);
  /// Turns one reserved page into a used one.
  int32_t take();
  /// Gives back used pages and what was reserved but never taken.
  void give_back(std::span<const int32_t> used, int64_t reserved);

  int32_t total() const { return total_; }
  /// Pages that can still be reserved.
  int64_t left() const;
  int64_t used() const;
  int64_t reserved() const;

 private:
  mutable std::mutex mutex_;
  int32_t total_;
  int32_t fresh_ = 0;  // pages below it have been handed out at least once
  std::vector<int32_t> free_;
  int64_t reserved_ = 0;
};

/// The pages and the length of one sequence. Gives everything back when it goes.
class SeqCache {
 public:
  /// Reserves for `planned_len` tokens; nothing when the pool cannot promise them now. The sequence begins with
  /// `shared`, full pages that belong to someone who keeps them until it goes, and whose tokens count as stored.
  static std::optional<SeqCache> admit(PagePool& pool, int64_t planned_len, std::span<const int32_t> shared = {});

  SeqCache(SeqCache&& other) noexcept;
  SeqCache& operator=(SeqCache&& other) noexcept;
  ~SeqCache();

  /// Takes pages so that positions up to `tokens` are covered; never beyond planned_len.
  void cover(int64_t tokens);
  /// Marks `n` more tokens as stored.
  void advance(int64_t n) { length_ += n; }

  /// Page `index`, which is full, belongs to someone else from now on, who keeps it until this sequence goes.
  void disown(size_t index) { own_[index] = false; }

  int64_t length() const { return length_; }
  int64_t planned_len() const { return planned_len_; }
  std::span<const int32_t> pages() const { return pages_; }

 private:
  SeqCache(PagePool& pool, int64_t planned_len, std::span<const int32_t> shared);
  void release() noexcept;

  PagePool* pool_ = nullptr;
  std::vector<int32_t> pages_;
  std::vector<bool> own_;  // which of them are given back
  int64_t reserved_ = 0;
  int64_t length_ = 0;
  int64_t planned_len_ = 0;
};

}  // namespace tenon
