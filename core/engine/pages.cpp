// Page accounting. See pages.hpp for the promise it keeps.
#include "engine/pages.hpp"

#include <utility>

#include "backend/backend.hpp"
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

std::optional<SeqCache> SeqCache::admit(PagePool& pool, int64_t planned_len, std::span<const int32_t> shared) {
  if (!pool.reserve(pages_for(planned_len) - static_cast<int64_t>(shared.size()))) return std::nullopt;
  return SeqCache(pool, planned_len, shared);
}

SeqCache::SeqCache(PagePool& pool, int64_t planned_len, std::span<const int32_t> shared)
    : pool_(&pool),
      pages_(shared.begin(), shared.end()),
      own_(shared.size(), false),
      reserved_(pages_for(planned_len) - static_cast<int64_t>(shared.size())),
      length_(static_cast<int64_t>(shared.size()) * kPageTokens),
      planned_len_(planned_len) {}

SeqCache::SeqCache(SeqCache&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      pages_(std::move(other.pages_)),
      own_(std::move(other.own_)),
      reserved_(other.reserved_),
      length_(other.length_),
      planned_len_(other.planned_len_) {}

SeqCache& SeqCache::operator=(SeqCache&& other) noexcept {
  if (this == &other) return *this;
  release();
  pool_ = std::exchange(other.pool_, nullptr);
  pages_ = std::move(other.pages_);
  own_ = std::move(other.own_);
  reserved_ = other.reserved_;
  length_ = other.length_;
  planned_len_ = other.planned_len_;
  return *this;
}

SeqCache::~SeqCache() { release(); }

void SeqCache::release() noexcept {
  if (!pool_) return;
  size_t kept = 0;
  for (size_t i = 0; i < pages_.size(); ++i)
    if (own_[i]) pages_[kept++] = pages_[i];
  pool_->give_back(std::span(pages_).first(kept), reserved_);
  pool_ = nullptr;
}

void SeqCache::cover(int64_t tokens) {
  if (tokens > planned_len_)
    fail(ErrorCode::internal, "[sequence] {} tokens exceed the {} it was admitted for", tokens, planned_len_);
  for (int64_t need = pages_for(tokens); static_cast<int64_t>(pages_.size()) < need; --reserved_) {
    pages_.push_back(pool_->take());
    own_.push_back(true);
  }
}

}  // namespace tenon
