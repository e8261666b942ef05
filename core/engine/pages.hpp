// What sequences hold: KV pages by page group, and a slot for state that does not grow. Free lists with reservations:
// a sequence is admitted only when all it was planned for can be reserved, so that a running one never waits for
// another: no deadlock, no preemption.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "backend/backend.hpp"

namespace tenon {

/// Pages that `tokens` positions need.
int64_t pages_for(int64_t tokens);
/// The first page that a query behind `length` stored tokens can see; earlier ones are gone. Window 0: all can be seen.
int64_t first_page(int64_t window, int64_t length);

/// Ids from 0 to n - 1 of pages or slots. Thread-safe. Recently returned ids are handed out first, so that memory once
/// touched is used again.
class PagePool {
 public:
  explicit PagePool(int32_t n_pages) : total_(n_pages) {}

  /// Sets `n` pages aside; false (and nothing changes) when fewer are left.
  bool reserve(int64_t n);
  /// Turns one reserved page into a used one.
  int32_t take();
  /// Gives back used pages and what was reserved but never taken.
  void give_back(std::span<const int32_t> used, int64_t reserved);
  /// Turns used pages into reserved ones again: others may get these, as many others remain promised.
  void unuse(std::span<const int32_t> used);

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

/// All pools of one StatePool.
class SeqPool {
 public:
  /// The states' groups and slots. Of the slots, `max_seqs` are the sequences', the rest are for snapshots. A step
  /// feeds a sequence at most `max_step` tokens.
  SeqPool(const StatePool& states, int64_t max_seqs, int64_t max_step);

  size_t n_groups() const { return groups_.size(); }
  PagePool& pages(size_t group) { return groups_[group]->pages; }
  int64_t window(size_t group) const { return groups_[group]->window; }
  /// Pages of a group that a sequence of that length holds at most at a time.
  int64_t need(size_t group, int64_t planned_len) const;
  /// The longest sequence that the pages suffice for; at most `limit`.
  int64_t longest(int64_t limit) const;

  bool has_slots() const { return has_slots_; }
  PagePool& seq_slots() { return seq_slots_; }
  PagePool& snapshot_slots() { return snapshot_slots_; }
  /// The slot behind an id of snapshot_slots().
  int32_t snapshot_slot(int32_t id) const { return seq_slots_.total() + id; }

  uint64_t next_id() { return ++last_id_; }

  /// Pages of all groups together.
  int64_t total() const;
  int64_t used() const;
  int64_t reserved() const;

 private:
  struct Group {
    int64_t window;
    PagePool pages;
  };
  std::vector<std::unique_ptr<Group>> groups_;
  bool has_slots_;
  PagePool seq_slots_, snapshot_slots_;
  int64_t max_step_;
  std::atomic<uint64_t> last_id_ = 0;
};

/// Pages of a window that a sequence holds at most, fed at most `max_step` tokens a step.
int64_t window_pages(int64_t window, int64_t max_step);

/// The pages, the slot and the length of one sequence. Gives everything back when it goes.
class SeqCache {
 public:
  /// Reserves for `planned_len` tokens; nothing when the pools cannot promise them now. The sequence begins with
  /// `shared`, full pages that belong to someone who keeps them until it goes, and whose tokens count as stored; only
  /// where there is one group of pages, without a window.
  static std::optional<SeqCache> admit(SeqPool& pool, int64_t planned_len, std::span<const int32_t> shared = {});

  SeqCache(SeqCache&& other) noexcept;
  SeqCache& operator=(SeqCache&& other) noexcept;
  ~SeqCache();

  /// Takes pages so that positions up to `tokens` are covered; never beyond planned_len.
  void cover(int64_t tokens);
  /// Marks `n` more tokens as stored; pages that no later query can see go back.
  void advance(int64_t n);
  /// Back to a length it has had: what came after is forgotten. Error{usage} when pages that it needs are gone.
  void rewind(int64_t length);

  /// Page `index`, which is full, belongs to someone else from now on, who keeps it until this sequence goes.
  void disown(size_t index);

  int64_t length() const { return length_; }
  int64_t planned_len() const { return planned_len_; }
  std::span<const PageTable> tables() const { return tables_; }
  int32_t slot() const { return slot_; }
  uint64_t id() const { return id_; }  // no other sequence of the pool has it

 private:
  SeqCache(SeqPool& pool, int64_t planned_len);
  void release() noexcept;
  std::span<const int32_t> held(size_t group) const;

  SeqPool* pool_ = nullptr;
  std::vector<PageTable> tables_;  // by group
  std::vector<int64_t> first_;     // by group: pages before it are gone
  std::vector<int64_t> reserved_;  // by group: promised and not taken
  std::vector<bool> lent_;         // pages of the first group that someone else gives back
  int32_t slot_ = -1;
  uint64_t id_ = 0;
  int64_t length_ = 0;
  int64_t planned_len_ = 0;
};

}  // namespace tenon
