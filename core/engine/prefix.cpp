// The page cache behind prefix reuse. See prefix.hpp.
#include "engine/prefix.hpp"

#include <algorithm>
#include <random>
#include <utility>

#include "base/mapped_file.hpp"

namespace tenon {

struct PrefixCache::Block {
  std::string key;
  std::array<int32_t, kPageTokens> tokens;
  int32_t page;
  int64_t pins = 0;
  std::list<Block*>::iterator at = {};  // in idle_ or in_use_
};

PrefixCache::Hold::Hold(Hold&& other) noexcept
    : cache_(std::exchange(other.cache_, nullptr)), key_(std::move(other.key_)), path_(std::move(other.path_)) {}

PrefixCache::Hold& PrefixCache::Hold::operator=(Hold&& other) noexcept {
  if (this == &other) return *this;
  if (cache_) cache_->release(*this);
  cache_ = std::exchange(other.cache_, nullptr);
  key_ = std::move(other.key_);
  path_ = std::move(other.path_);
  return *this;
}

PrefixCache::Hold::~Hold() {
  if (cache_) cache_->release(*this);
}

std::vector<int32_t> PrefixCache::Hold::pages() const {
  std::vector<int32_t> out;
  for (const Block* block : path_) out.push_back(block->page);
  return out;
}

PrefixCache::PrefixCache(PagePool& pool, int64_t most_idle) : pool_(pool), most_idle_(most_idle) {
  std::random_device random;
  for (int i = 0; i < 8; ++i) {
    const uint32_t word = random();
    secret_.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
}

PrefixCache::~PrefixCache() = default;

// Secret, key and tokens have fixed sizes, except at the root, whose salt stands alone: no two inputs read alike.
std::string PrefixCache::next_key(std::string_view key, std::span<const int32_t> tokens) const {
  std::string input = secret_;
  input.append(key);
  input.append(reinterpret_cast<const char*>(tokens.data()), tokens.size_bytes());
  return sha256_hex(std::as_bytes(std::span(input)));
}

PrefixCache::Block* PrefixCache::lookup(const std::string& key, std::span<const int32_t> tokens) const {
  const auto at = blocks_.find(key);
  if (at == blocks_.end() || !std::equal(tokens.begin(), tokens.end(), at->second->tokens.begin())) return nullptr;
  return at->second.get();
}

void PrefixCache::pin(Hold& hold, Block& block) {
  if (block.pins++ == 0) in_use_.splice(in_use_.begin(), idle_, block.at);
  hold.path_.push_back(&block);
  hold.key_ = block.key;
}

PrefixCache::Hold PrefixCache::find(std::string_view salt, std::span<const int32_t> tokens) {
  Hold hold;
  hold.key_ = next_key(salt, {});
  std::lock_guard lock(mutex_);
  hold.cache_ = this;
  for (; tokens.size() >= kPageTokens; tokens = tokens.subspan(kPageTokens)) {
    const auto page = tokens.first(kPageTokens);
    Block* block = lookup(next_key(hold.key_, page), page);
    if (!block) break;
    pin(hold, *block);
  }
  return hold;
}

bool PrefixCache::append(Hold& hold, std::span<const int32_t, kPageTokens> tokens, int32_t page) {
  std::string key = next_key(hold.key_, tokens);
  std::lock_guard lock(mutex_);
  if (Block* block = lookup(key, tokens)) {
    pin(hold, *block);
    return false;
  }
  auto fresh = std::make_unique<Block>(Block{.key = key, .tokens = {}, .page = page});
  std::copy(tokens.begin(), tokens.end(), fresh->tokens.begin());
  const auto [at, added] = blocks_.emplace(std::move(key), std::move(fresh));
  if (!added) return false;
  Block& block = *at->second;
  block.at = idle_.insert(idle_.end(), &block);
  pin(hold, block);
  return true;
}

// The deepest block first: it then lies behind those it follows, and goes before them.
void PrefixCache::release(Hold& hold) noexcept {
  std::lock_guard lock(mutex_);
  for (auto at = hold.path_.rbegin(); at != hold.path_.rend(); ++at)
    if (--(*at)->pins == 0) idle_.splice(idle_.begin(), in_use_, (*at)->at);
  hold.path_.clear();
  hold.cache_ = nullptr;
  while (static_cast<int64_t>(idle_.size()) > most_idle_) drop_oldest();
}

void PrefixCache::drop_oldest() noexcept {
  Block* block = idle_.back();
  idle_.pop_back();
  pool_.give_back({&block->page, 1}, 0);
  blocks_.erase(blocks_.find(block->key));
}

bool PrefixCache::make_room(int64_t n) {
  std::lock_guard lock(mutex_);
  if (pool_.left() + static_cast<int64_t>(idle_.size()) < n) return false;
  while (pool_.left() < n && !idle_.empty()) drop_oldest();
  return pool_.left() >= n;
}

int64_t PrefixCache::pages() const {
  std::lock_guard lock(mutex_);
  return static_cast<int64_t>(blocks_.size());
}

int64_t PrefixCache::idle() const {
  std::lock_guard lock(mutex_);
  return static_cast<int64_t>(idle_.size());
}

}  // namespace tenon
