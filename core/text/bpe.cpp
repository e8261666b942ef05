// The merge loop and the pair table.
#include "text/bpe.hpp"

#include <algorithm>
#include <bit>
#include <functional>

#include "base/error.hpp"
#include "text/unicode.hpp"

namespace tenon {

namespace {

uint64_t pair_of(int32_t left, int32_t right) {
  return (uint64_t{static_cast<uint32_t>(left)} << 32) | static_cast<uint32_t>(right);
}

size_t pair_hash(uint64_t pair) {
  pair *= 0x9e3779b97f4a7c15ull;
  return static_cast<size_t>(pair ^ (pair >> 32));
}

}  // namespace

void Bpe::reserve_merges(size_t merges) {
  size_t n = 64;
  while (n < merges * 2) n *= 2;
  merges_.assign(n, Merge{});
  n_merges_ = 0;
}

void Bpe::add_merge(int32_t left, int32_t right, int32_t merged) {
  if ((n_merges_ + 1) * 2 > merges_.size()) fail(ErrorCode::internal, "[bpe] merge table holds {} pairs", n_merges_);
  const uint64_t pair = pair_of(left, right);
  size_t slot = pair_hash(pair) & (merges_.size() - 1);
  while (merges_[slot].pair != kNoPair) {
    if (merges_[slot].pair == pair) return;
    slot = (slot + 1) & (merges_.size() - 1);
  }
  merges_[slot] = {pair, next_rank_++, merged};
  ++n_merges_;
}

const Bpe::Merge* Bpe::find_merge(int32_t left, int32_t right) const {
  if (merges_.empty()) return nullptr;
  const uint64_t pair = pair_of(left, right);
  for (size_t slot = pair_hash(pair) & (merges_.size() - 1); merges_[slot].pair != kNoPair;
       slot = (slot + 1) & (merges_.size() - 1))
    if (merges_[slot].pair == pair) return &merges_[slot];
  return nullptr;
}

namespace {

/// Numbers in the order of floats, the highest first.
uint32_t descending(float score) {
  const auto bits = std::bit_cast<uint32_t>(score);
  return bits & 0x80000000u ? bits : ~bits & 0x7fffffffu;
}

}  // namespace

// What symbol `left` and the next one make. Pairs of lower keys merge first, the leftmost of equals.
Bpe::Pair Bpe::pair_at(const Vocabulary& vocabulary, std::string_view word, const std::vector<Symbol>& symbols,
                       int32_t left) const {
  const Symbol& a = symbols[static_cast<size_t>(left)];
  if (a.next < 0) return {};
  const Symbol& b = symbols[static_cast<size_t>(a.next)];
  const auto keyed = [left](uint32_t cost, int32_t id) {
    return Pair{uint64_t{cost} << 32 | static_cast<uint32_t>(left), id};
  };
  if (options_.by_score) {
    const int32_t id = vocabulary.find(word.substr(a.begin, a.length + b.length));
    if (id < 0) return {};
    return keyed(descending(static_cast<size_t>(id) < scores_.size() ? scores_[static_cast<size_t>(id)] : 0.0f), id);
  }
  if (a.id < 0 || b.id < 0) return {};
  const Merge* merge = find_merge(a.id, b.id);
  return merge ? keyed(static_cast<uint32_t>(merge->rank), merge->id) : Pair{};
}

/// Joins `left` with the next symbol; the pairs that this changes are at `left` and before it.
void Bpe::join(std::vector<Symbol>& symbols, int32_t left, int32_t id) {
  Symbol& a = symbols[static_cast<size_t>(left)];
  Symbol& b = symbols[static_cast<size_t>(a.next)];
  a.length += b.length;
  a.id = id;
  a.next = b.next;
  b.length = 0;
  if (a.next >= 0) symbols[static_cast<size_t>(a.next)].previous = left;
}

// Short words, by looking for the least pair each time; long ones, by a heap of keys, in which those of pairs that are
// no more stay until they come up.
void Bpe::merge_all(const Vocabulary& vocabulary, std::string_view word, std::vector<Symbol>& symbols) const {
  constexpr size_t kShort = 24;
  std::vector<Pair> pairs(symbols.size());
  for (size_t i = 0; i < symbols.size(); ++i) pairs[i] = pair_at(vocabulary, word, symbols, static_cast<int32_t>(i));
  std::vector<uint64_t> heap;
  const bool is_short = symbols.size() <= kShort;
  if (!is_short) {
    for (const Pair& p : pairs)
      if (p.id >= 0) heap.push_back(p.key);
    std::make_heap(heap.begin(), heap.end(), std::greater<>());
  }
  for (;;) {
    uint64_t key = Pair{}.key;
    if (is_short) {
      for (const Pair& p : pairs) key = std::min(key, p.key);
      if (key == Pair{}.key) return;
    } else {
      if (heap.empty()) return;
      key = heap.front();
      std::pop_heap(heap.begin(), heap.end(), std::greater<>());
      heap.pop_back();
    }
    const auto left = static_cast<int32_t>(key & 0xffffffffu);
    Pair& pair = pairs[static_cast<size_t>(left)];
    if (pair.key != key) continue;
    pairs[static_cast<size_t>(symbols[static_cast<size_t>(left)].next)] = {};
    join(symbols, left, pair.id);
    for (const int32_t changed : {left, symbols[static_cast<size_t>(left)].previous}) {
      if (changed < 0) continue;
      const Pair fresh = pairs[static_cast<size_t>(changed)] = pair_at(vocabulary, word, symbols, changed);
      if (is_short || fresh.id < 0) continue;
      heap.push_back(fresh.key);
      std::push_heap(heap.begin(), heap.end(), std::greater<>());
    }
  }
}

// One character that is no token: its bytes where the vocabulary has them, itself as unknown otherwise.
void Bpe::cut_character(std::string_view word, Symbol symbol, std::vector<Symbol>& symbols) const {
  bool all_bytes = options_.byte_fallback && !options_.by_score;
  for (uint32_t i = 0; i < symbol.length && all_bytes; ++i)
    all_bytes = byte_ids_[static_cast<unsigned char>(word[symbol.begin + i])] >= 0;
  if (!all_bytes) {
    symbols.push_back(symbol);
    return;
  }
  for (uint32_t i = 0; i < symbol.length; ++i)
    symbols.push_back({symbol.begin + i, 1, byte_ids_[static_cast<unsigned char>(word[symbol.begin + i])]});
}

void Bpe::cut(const Vocabulary& vocabulary, std::string_view word, std::vector<Symbol>& symbols) const {
  symbols.reserve(word.size());
  for (size_t at = 0; at < word.size();) {
    Symbol symbol{static_cast<uint32_t>(at), 1};
    if (options_.symbols == Symbols::bytes) {
      symbol.id = byte_ids_[static_cast<unsigned char>(word[at])];
      // What is dropped keeps none of its neighbours apart.
      if (symbol.id >= 0 || options_.unknown_id >= 0) symbols.push_back(symbol);
    } else {
      symbol.length = unicode::decode(word, at).length;
      symbol.id = vocabulary.find(word.substr(at, symbol.length));
      if (symbol.id >= 0)
        symbols.push_back(symbol);
      else
        cut_character(word, symbol, symbols);
    }
    at += symbol.length;
  }
  for (size_t i = 0; i < symbols.size(); ++i) {
    symbols[i].previous = static_cast<int32_t>(i) - 1;
    symbols[i].next = i + 1 < symbols.size() ? static_cast<int32_t>(i) + 1 : -1;
  }
}

void Bpe::emit(std::string_view word, const Symbol& symbol, bool& after_unknown, std::vector<int32_t>& out) const {
  if (symbol.id >= 0) {
    out.push_back(symbol.id);
    after_unknown = false;
    return;
  }
  if (options_.byte_fallback && options_.by_score) {
    bool all = true;
    for (uint32_t i = 0; i < symbol.length; ++i)
      all = all && byte_ids_[static_cast<unsigned char>(word[symbol.begin + i])] >= 0;
    if (all) {
      for (uint32_t i = 0; i < symbol.length; ++i)
        out.push_back(byte_ids_[static_cast<unsigned char>(word[symbol.begin + i])]);
      after_unknown = false;
      return;
    }
  }
  if (options_.unknown_id >= 0 && !(after_unknown && options_.fuse_unknown)) out.push_back(options_.unknown_id);
  after_unknown = true;
}

void Bpe::encode(const Vocabulary& vocabulary, std::string_view word, std::vector<int32_t>& out) const {
  if (word.empty()) return;
  if (word.size() >= size_t{1} << 30)
    fail(ErrorCode::capacity, "[tokenizer] a word of {} bytes exceeds {}", word.size(), size_t{1} << 30);
  if (options_.ignore_merges) {
    const int32_t whole = vocabulary.find(word);
    if (whole >= 0 && vocabulary.kind(whole) != TokenKind::control) return out.push_back(whole);
  }
  std::vector<Symbol> symbols;
  cut(vocabulary, word, symbols);
  if (symbols.empty()) return;
  if (symbols.size() > 1) merge_all(vocabulary, word, symbols);
  bool after_unknown = false;
  for (int32_t i = 0; i >= 0; i = symbols[static_cast<size_t>(i)].next)
    emit(word, symbols[static_cast<size_t>(i)], after_unknown, out);
}

}  // namespace tenon
