// Page accounting. See pages.hpp for the promise it keeps.
#include "engine/pages.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"

namespace tenon {

int64_t pages_for(int64_t tokens) { return tokens / kPageTokens + (tokens % kPageTokens != 0); }

bool PagePool::reserve(int64_t n) {
  std::lock_guard lock(mutex_);
  const int64_t left = static_cast<int64_t>(free_.size()) + (total_ - fresh_) - reserved_;
  if (n > left) return false;
  reserved_ += n;
  return true;
}

int32_t PagePool::take() {
  std::lock_guard lock(mutex_);
  if (reserved_ == 0) fail(ErrorCode::internal, "[page pool] a page taken without a reservation");
  --reserved_;
  if (free_.empty()) return fresh_++;
  const int32_t page = free_.back();
  free_.pop_back();
  return page;
}

void PagePool::unuse(std::span<const int32_t> used) { give_back(used, -static_cast<int64_t>(used.size())); }

void PagePool::give_back(std::span<const int32_t> used, int64_t reserved) {
  std::lock_guard lock(mutex_);
  free_.insert(free_.end(), used.rbegin(), used.rend());
  reserved_ -= reserved;
}

int64_t PagePool::left() const {
  std::lock_guard lock(mutex_);
  return static_cast<int64_t>(free_.size()) + (total_ - fresh_) - reserved_;
}

int64_t PagePool::used() const {
  std::lock_guard lock(mutex_);
  return fresh_ - static_cast<int64_t>(free_.size());
}

int64_t PagePool::reserved() const {
  std::lock_guard lock(mutex_);
  return reserved_;
}

int64_t first_page(int64_t window, int64_t length) {
  return window > 0 ? std::max<int64_t>(0, length - window + 1) / kPageTokens : 0;
}

int64_t window_pages(int64_t window, int64_t max_step) { return pages_for(window - 1 + max_step) + 1; }

SeqPool::SeqPool(const StatePool& states, int64_t max_seqs, int64_t max_step)
    : has_slots_(states.bytes_per_slot() > 0),
      seq_slots_(static_cast<int32_t>(std::min<int64_t>(max_seqs, states.n_slots()))),
      snapshot_slots_(states.n_slots() - seq_slots_.total()),
      max_step_(max_step) {
  for (const StatePool::Group& g : states.groups()) groups_.emplace_back(new Group{g.window, PagePool(g.n_pages)});
}

int64_t SeqPool::need(size_t group, int64_t planned_len) const {
  const int64_t all = pages_for(planned_len), window = groups_[group]->window;
  return window > 0 ? std::min(all, window_pages(window, max_step_)) : all;
}

int64_t SeqPool::longest(int64_t limit) const {
  for (size_t g = 0; g < groups_.size(); ++g)
    if (need(g, limit) > groups_[g]->pages.total())
      limit = std::min(limit, int64_t{groups_[g]->pages.total()} * kPageTokens);
  return has_slots_ && seq_slots_.total() == 0 ? 0 : limit;
}

int64_t SeqPool::total() const {
  int64_t sum = 0;
  for (const auto& g : groups_) sum += g->pages.total();
  return sum;
}
int64_t SeqPool::used() const {
  int64_t sum = 0;
  for (const auto& g : groups_) sum += g->pages.used();
  return sum;
}
int64_t SeqPool::reserved() const {
  int64_t sum = 0;
  for (const auto& g : groups_) sum += g->pages.reserved();
  return sum;
}

std::optional<SeqCache> SeqCache::admit(SeqPool& pool, int64_t planned_len, std::span<const int32_t> shared) {
  if (!shared.empty() && (pool.n_groups() != 1 || pool.window(0) > 0 || pool.has_slots()))
    fail(ErrorCode::internal, "[sequence] {} shared pages, {} groups of pages", shared.size(), pool.n_groups());
  SeqCache seq(pool, planned_len);  // gives back what it got when the next is refused
  for (size_t g = 0; g < pool.n_groups(); ++g) {
    const int64_t need = pool.need(g, planned_len) - std::ssize(shared);
    if (!pool.pages(g).reserve(need)) return std::nullopt;
    seq.reserved_[g] = need;
  }
  if (pool.has_slots()) {
    if (!pool.seq_slots().reserve(1)) return std::nullopt;
    seq.slot_ = pool.seq_slots().take();
  }
  if (!shared.empty()) {
    seq.tables_[0].assign(shared.begin(), shared.end());
    seq.lent_.assign(shared.size(), true);
    seq.length_ = std::ssize(shared) * kPageTokens;
  }
  return seq;
}

void SeqCache::disown(size_t index) {
  if (lent_.size() <= index) lent_.resize(index + 1, false);
  lent_[index] = true;
}

SeqCache::SeqCache(SeqPool& pool, int64_t planned_len)
    : pool_(&pool),
      tables_(pool.n_groups()),
      first_(pool.n_groups(), 0),
      reserved_(pool.n_groups(), 0),
      id_(pool.next_id()),
      planned_len_(planned_len) {}

SeqCache::SeqCache(SeqCache&& other) noexcept { *this = std::move(other); }

SeqCache& SeqCache::operator=(SeqCache&& other) noexcept {
  if (this == &other) return *this;
  release();
  pool_ = std::exchange(other.pool_, nullptr);
  tables_ = std::move(other.tables_);
  first_ = std::move(other.first_);
  reserved_ = std::move(other.reserved_);
  lent_ = std::move(other.lent_);
  slot_ = other.slot_;
  id_ = other.id_;
  length_ = other.length_;
  planned_len_ = other.planned_len_;
  return *this;
}

SeqCache::~SeqCache() { release(); }

std::span<const int32_t> SeqCache::held(size_t group) const {
  return std::span(tables_[group]).subspan(static_cast<size_t>(first_[group]));
}

void SeqCache::release() noexcept {
  if (!pool_) return;
  for (size_t g = 0; g < tables_.size(); ++g) {
    size_t kept = 0;
    auto pages = std::span(tables_[g]).subspan(static_cast<size_t>(first_[g]));
    for (size_t i = 0; i < pages.size(); ++i)
      if (g > 0 || i >= lent_.size() || !lent_[i]) pages[kept++] = pages[i];
    pool_->pages(g).give_back(pages.first(kept), reserved_[g]);
  }
  if (slot_ >= 0) pool_->seq_slots().give_back({&slot_, 1}, 0);
  pool_ = nullptr;
}

void SeqCache::cover(int64_t tokens) {
  if (tokens > planned_len_)
    fail(ErrorCode::internal, "[sequence] {} tokens exceed the {} it was admitted for", tokens, planned_len_);
  for (size_t g = 0; g < tables_.size(); ++g)
    for (int64_t need = pages_for(tokens); static_cast<int64_t>(tables_[g].size()) < need; --reserved_[g])
      tables_[g].push_back(pool_->pages(g).take());
}

void SeqCache::advance(int64_t n) {
  length_ += n;
  for (size_t g = 0; g < tables_.size(); ++g) {
    const int64_t first = first_page(pool_->window(g), length_);
    if (first <= first_[g]) continue;
    const auto gone = held(g).first(static_cast<size_t>(first - first_[g]));
    // What is still to come may need as many pages again.
    const int64_t to_come = pages_for(planned_len_) - static_cast<int64_t>(tables_[g].size());
    const auto kept = static_cast<size_t>(std::clamp<int64_t>(to_come - reserved_[g], 0, std::ssize(gone)));
    pool_->pages(g).unuse(gone.first(kept));
    pool_->pages(g).give_back(gone.subspan(kept), 0);
    reserved_[g] += static_cast<int64_t>(kept);
    std::fill(tables_[g].begin() + first_[g], tables_[g].begin() + first, -1);
    first_[g] = first;
  }
}

void SeqCache::rewind(int64_t length) {
  if (length > length_) fail(ErrorCode::usage, "[sequence] back to {} tokens from {}", length, length_);
  for (size_t g = 0; g < tables_.size(); ++g)
    if (first_[g] * kPageTokens > std::max<int64_t>(0, length - pool_->window(g) + 1))
      fail(ErrorCode::usage, "[sequence] back to {} tokens, but of a window of {} only positions from {} on are kept",
           length, pool_->window(g), first_[g] * kPageTokens);
  length_ = length;
}

}  // namespace tenon
