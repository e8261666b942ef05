// Prefix reuse: full KV pages that sequences leave behind, found again by the tokens they hold. A block is one page;
// its key is a keyed hash over all tokens from the start of the sequence, and its own tokens are compared as well.
// Pages in here are read-only and shared; the least recently used go when the pool needs them or too many lie idle.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "backend/backend.hpp"
#include "engine/pages.hpp"

namespace tenon {

/// Thread-safe; outlives its holds.
class PrefixCache {
 public:
  struct Block;

  /// What one sequence uses of the cache: the blocks of its first pages, which stay until the hold goes.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept;
    Hold& operator=(Hold&& other) noexcept;
    ~Hold();
    /// How many pages from the sequence's start are in the cache.
    size_t size() const { return path_.size(); }
    /// The page ids of the blocks.
    std::vector<int32_t> pages() const;

   private:
    friend class PrefixCache;
    PrefixCache* cache_ = nullptr;
    std::string key_;  // of the last block
    std::vector<Block*> path_;
  };

  /// At most `most_idle` pages are kept that no sequence uses.
  PrefixCache(PagePool& pool, int64_t most_idle);
  ~PrefixCache();

  /// The longest known beginning of `tokens` in whole pages. Sequences of another salt are another world.
  Hold find(std::string_view salt, std::span<const int32_t> tokens);
  /// The next full page of the hold's sequence. True when the page is the cache's from now on; false when the cache has
  /// an equal one already, which then belongs to the hold while the sequence goes on with its own.
  bool append(Hold& hold, std::span<const int32_t, kPageTokens> tokens, int32_t page);

  /// Drops idle pages until the pool has `n` left; false (and nothing dropped) when there are not enough.
  bool make_room(int64_t n);

  int64_t pages() const;
  int64_t idle() const;

 private:
  std::string next_key(std::string_view key, std::span<const int32_t> tokens) const;
  Block* lookup(const std::string& key, std::span<const int32_t> tokens) const;
  void pin(Hold& hold, Block& block);
  void release(Hold& hold) noexcept;
  void drop_oldest() noexcept;

  PagePool& pool_;
  int64_t most_idle_;
  std::string secret_;  // of this process: nobody can prepare colliding prompts
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::unique_ptr<Block>> blocks_;
  std::list<Block*> idle_;  // the most recently used first; a block always before those that follow it
  std::list<Block*> in_use_;
};

}  // namespace tenon
