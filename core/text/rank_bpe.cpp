// Three ways to the same ids: a scan for the next pair in short words, a heap in longer ones, and in very long ones a
// queue of buckets, one per token, which takes linear time where merging makes tokens of ever higher ranks.
#include "text/rank_bpe.hpp"

#include <algorithm>
#include <array>
#include <functional>

#include "base/error.hpp"

namespace tenon {

namespace {

constexpr size_t kShort = 64, kLong = size_t{1} << 14;

using Key = uint64_t;  // token, then place: the smallest is the next to merge
Key key_of(int32_t id, uint32_t at) { return Key{static_cast<uint32_t>(id)} << 32 | at; }

class HeapQueue {
 public:
  void push(Key key) {
    keys_.push_back(key);
    std::ranges::push_heap(keys_, std::greater());
  }
  bool empty() const { return keys_.empty(); }
  Key top() const { return keys_.front(); }
  bool pop(Key& key) {
    if (keys_.empty()) return false;
    std::ranges::pop_heap(keys_, std::greater());
    key = keys_.back();
    keys_.pop_back();
    return true;
  }

 private:
  std::vector<Key> keys_;
};

class BucketQueue {
 public:
  BucketQueue(int32_t ids, size_t places) : heads_(static_cast<size_t>(ids), kNone) { pool_.reserve(places); }

  void push(Key key) {
    const auto id = static_cast<int64_t>(key >> 32);
    if (id <= current_) return late_.push(key);
    uint32_t& head = heads_[static_cast<size_t>(id)];
    pool_.push_back({static_cast<uint32_t>(key), head});
    head = static_cast<uint32_t>(pool_.size() - 1);
  }

  bool pop(Key& key) {
    while (late_.empty() && next_ == places_.size())
      if (!open_next()) return false;
    if (next_ == places_.size()) return late_.pop(key);
    key = key_of(static_cast<int32_t>(current_), places_[next_]);
    if (!late_.empty() && late_.top() < key) return late_.pop(key);
    ++next_;
    return true;
  }

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};
  struct Entry {
    uint32_t place, next;
  };

  bool open_next() {
    do
      if (++current_ >= static_cast<int64_t>(heads_.size())) return false;
    while (heads_[static_cast<size_t>(current_)] == kNone);
    places_.clear();
    next_ = 0;
    for (uint32_t i = heads_[static_cast<size_t>(current_)]; i != kNone; i = pool_[i].next)
      places_.push_back(pool_[i].place);
    std::ranges::reverse(places_);
    if (!std::ranges::is_sorted(places_)) std::ranges::sort(places_);
    return true;
  }

  std::vector<uint32_t> heads_;  // of each token's bucket, a list in pool_
  std::vector<Entry> pool_;
  std::vector<uint32_t> places_;  // of the bucket that is open
  size_t next_ = 0;
  int64_t current_ = -1;
  HeapQueue late_;  // what came for the open bucket or one before it
};

class RankBpe final : public TokenModel {
 public:
  explicit RankBpe(const Vocabulary& vocabulary) {
    for (int32_t i = 0; i < vocabulary.size(); ++i) longest_ = std::max(longest_, vocabulary.piece(i).size());
    for (size_t a = 0; a < 256; ++a) {
      char pair[2] = {static_cast<char>(a), 0};
      bytes_[a] = vocabulary.find({pair, 1});
      for (size_t b = 0; b < 256; ++b) {
        pair[1] = static_cast<char>(b);
        pairs_[a << 8 | b] = vocabulary.find({pair, 2});
      }
    }
  }

  void encode(const Vocabulary& vocabulary, std::string_view word, std::vector<int32_t>& out) const override {
    if (word.size() >= size_t{1} << 31)
      fail(ErrorCode::capacity, "[tokenizer] a word of {} bytes exceeds {}", word.size(), size_t{1} << 31);
    if (const int32_t whole = word.size() <= longest_ ? vocabulary.find(word) : -1; whole >= 0)
      return out.push_back(whole);
    if (word.size() <= kShort) return encode_short(vocabulary, word, out);
    if (word.size() < kLong) return encode_with(HeapQueue(), vocabulary, word, out);
    encode_with(BucketQueue(vocabulary.size(), word.size() + word.size() / 2), vocabulary, word, out);
  }

 private:
  /// The token of these bytes, of two neighbours together.
  int32_t merged(const Vocabulary& vocabulary, std::string_view bytes) const {
    if (bytes.size() == 2)
      return pairs_[static_cast<size_t>(static_cast<uint8_t>(bytes[0])) << 8 | static_cast<uint8_t>(bytes[1])];
    return bytes.size() <= longest_ ? vocabulary.find(bytes) : -1;
  }

  void encode_short(const Vocabulary& vocabulary, std::string_view word, std::vector<int32_t>& out) const {
    std::array<uint8_t, kShort + 1> starts{};
    std::array<int32_t, kShort> ids{}, next{};  // next[i]: what parts i and i + 1 merge into
    size_t n = word.size();
    const auto look = [&](size_t i) {
      next[i] = i + 1 < n ? merged(vocabulary, word.substr(starts[i], starts[i + 2] - starts[i])) : -1;
    };
    for (size_t i = 0; i <= n; ++i) starts[i] = static_cast<uint8_t>(i);
    for (size_t i = 0; i < n; ++i) {
      ids[i] = bytes_[static_cast<uint8_t>(word[i])];
      look(i);
    }
    for (;;) {
      size_t best = n;
      for (size_t i = 0; i + 1 < n; ++i)
        if (next[i] >= 0 && (best == n || next[i] < next[best])) best = i;
      if (best == n) break;
      ids[best] = next[best];
      std::copy(ids.begin() + best + 2, ids.begin() + n, ids.begin() + best + 1);
      std::copy(next.begin() + best + 2, next.begin() + n, next.begin() + best + 1);
      std::copy(starts.begin() + best + 2, starts.begin() + n + 1, starts.begin() + best + 1);
      --n;
      look(best);
      if (best > 0) look(best - 1);
    }
    out.insert(out.end(), ids.begin(), ids.begin() + n);
  }

  struct Part {  // at its first byte
    uint32_t previous, next;
    int32_t id, merged;  // merged: with the part behind it, -1 for nothing
  };

  template <typename Queue>
  void encode_with(Queue queue, const Vocabulary& vocabulary, std::string_view word, std::vector<int32_t>& out) const {
    const auto n = static_cast<uint32_t>(word.size());
    std::vector<Part> parts(n);
    const auto look = [&](uint32_t at) {
      Part& part = parts[at];
      part.merged = part.next < n ? merged(vocabulary, word.substr(at, parts[part.next].next - at)) : -1;
      if (part.merged >= 0) queue.push(key_of(part.merged, at));
    };
    for (uint32_t i = 0; i < n; ++i)
      parts[i] = {i - 1, i + 1, bytes_[static_cast<uint8_t>(word[i])], -1};  // the first has none before it
    for (uint32_t i = 0; i < n; ++i) look(i);
    for (Key key = 0; queue.pop(key);) {
      const auto at = static_cast<uint32_t>(key);
      Part& part = parts[at];
      if (part.merged != static_cast<int32_t>(key >> 32)) continue;
      Part& second = parts[part.next];
      part.id = part.merged;
      part.next = second.next;
      second.merged = -1;
      if (part.next < n) parts[part.next].previous = at;
      look(at);
      if (at > 0) look(part.previous);
    }
    for (uint32_t i = 0; i < n; i = parts[i].next) out.push_back(parts[i].id);
  }

  std::array<int32_t, 256> bytes_{};
  std::array<int32_t, 65536> pairs_{};
  size_t longest_ = 0;
};

}  // namespace

void use_rank_bpe(TokenizerBuilder& builder, const RankedTokens& tokens, int32_t first_id, std::string_view place) {
  Vocabulary& vocabulary = builder.vocabulary();
  vocabulary.reserve_index(tokens.size());
  for (size_t rank = 0; rank < tokens.size(); ++rank) {
    const int32_t id = first_id + static_cast<int32_t>(rank);
    if (tokens[rank].empty()) continue;
    if (const int32_t other = vocabulary.find(tokens[rank]); other >= 0)
      fail(ErrorCode::bad_model, "[{}] ranks {} and {} have the same token", place, other - first_id, rank);
    vocabulary.set(id, tokens[rank], TokenKind::normal);
    vocabulary.index(id);
  }
  for (int b = 0; b < 256; ++b)
    if (const char byte = static_cast<char>(b); vocabulary.find({&byte, 1}) < 0)
      fail(ErrorCode::bad_model, "[{}] the byte 0x{:02x} has no rank", place, b);
  builder.set_model(std::make_unique<RankBpe>(vocabulary));
}

void add_special(TokenizerBuilder& builder, int32_t id, const std::string& content, TokenKind kind) {
  builder.vocabulary().set(id, content, kind);
  builder.added().add({content, id, true});
}

}  // namespace tenon
