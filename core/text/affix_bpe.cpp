#include "text/affix_bpe.hpp"

#include <algorithm>
#include <functional>
#include <optional>

#include "base/error.hpp"
#include "text/unicode.hpp"

namespace tenon {

namespace {

constexpr size_t kMaxWord = size_t{1} << 30;
constexpr uint32_t kNone = ~uint32_t{0};

uint64_t pair_of(int32_t left, int32_t right) {
  return (uint64_t{static_cast<uint32_t>(left)} << 32) | static_cast<uint32_t>(right);
}

}  // namespace

// A list whose merged members are taken out.
struct AffixBpe::Symbols {
  std::vector<int32_t> ids;  // -1: merged away
  std::vector<uint32_t> previous, next;

  explicit Symbols(std::vector<int32_t> all) : ids(std::move(all)), previous(ids.size()), next(ids.size()) {
    for (uint32_t i = 0; i < ids.size(); ++i) {
      previous[i] = i > 0 ? i - 1 : kNone;
      next[i] = i + 1 < ids.size() ? i + 1 : kNone;
    }
  }
  void join(uint32_t left, int32_t id) {
    const uint32_t right = next[left];
    ids[left] = id;
    ids[right] = -1;
    next[left] = next[right];
    if (next[right] != kNone) previous[next[right]] = left;
  }
};

void AffixBpe::add_merge(int32_t left, int32_t right, int32_t merged) {
  merges_[pair_of(left, right)] = {next_rank_++, merged};
}

bool AffixBpe::cut_into_bytes(std::string_view character, std::vector<int32_t>& out) const {
  if (!options_.byte_fallback) return false;
  const auto id_of = [&](char c) { return options_.byte_ids[static_cast<unsigned char>(c)]; };
  if (!std::ranges::all_of(character, [&](char c) { return id_of(c) >= 0; })) return false;
  for (const char c : character) out.push_back(id_of(c));
  return true;
}

std::vector<int32_t> AffixBpe::cut(const Vocabulary& vocabulary, std::string_view word) const {
  std::vector<int32_t> ids;
  bool unknown = false;  // one that is not handed out yet: a token behind it does so, bytes do not
  std::string text;
  for (size_t at = 0, end = 0; at < word.size(); at = end) {
    end = at + unicode::decode(word, at).length;
    text = at > 0 ? options_.continuing_prefix : "";
    text += word.substr(at, end - at);
    if (end == word.size()) text += options_.end_suffix;
    const int32_t id = vocabulary.find(text);
    if (id < 0 && cut_into_bytes(text, ids)) continue;
    if (unknown && (id >= 0 || !options_.fuse_unknown)) ids.push_back(options_.unknown_id);
    unknown = id < 0 && options_.unknown_id >= 0;
    if (id >= 0) ids.push_back(id);
  }
  if (unknown) ids.push_back(options_.unknown_id);
  return ids;
}

const AffixBpe::Merge* AffixBpe::merge_at(const Symbols& symbols, uint32_t left) const {
  if (left == kNone || symbols.ids[left] < 0 || symbols.next[left] == kNone) return nullptr;
  const auto merge = merges_.find(pair_of(symbols.ids[left], symbols.ids[symbols.next[left]]));
  return merge == merges_.end() ? nullptr : &merge->second;
}

void AffixBpe::merge(std::vector<int32_t> ids, std::vector<int32_t>& out) const {
  Symbols symbols(std::move(ids));
  std::vector<uint64_t> heap;  // rank and place of the left symbol: the least first
  const auto key = [&](uint32_t left) {
    const Merge* merge = merge_at(symbols, left);
    return merge ? std::optional(uint64_t{merge->rank} << 32 | left) : std::nullopt;
  };
  for (uint32_t i = 0; i < symbols.ids.size(); ++i)
    if (const auto k = key(i)) heap.push_back(*k);
  std::ranges::make_heap(heap, std::greater());
  while (!heap.empty()) {
    std::ranges::pop_heap(heap, std::greater());
    const auto rank = static_cast<uint32_t>(heap.back() >> 32), left = static_cast<uint32_t>(heap.back());
    heap.pop_back();
    const Merge* merge = merge_at(symbols, left);
    if (!merge || merge->rank != rank) continue;
    symbols.join(left, merge->id);
    for (const uint32_t changed : {symbols.previous[left], left}) {
      const auto k = key(changed);
      if (!k) continue;
      heap.push_back(*k);
      std::ranges::push_heap(heap, std::greater());
    }
  }
  for (uint32_t i = 0; i != kNone; i = symbols.next[i]) out.push_back(symbols.ids[i]);
}

void AffixBpe::encode(const Vocabulary& vocabulary, std::string_view word, std::vector<int32_t>& out) const {
  if (word.size() >= kMaxWord)
    fail(ErrorCode::capacity, "[tokenizer] a word of {} bytes exceeds {}", word.size(), kMaxWord);
  const int32_t whole = options_.ignore_merges ? vocabulary.find(word) : -1;
  if (whole >= 0) return out.push_back(whole);
  std::vector<int32_t> ids = cut(vocabulary, word);
  if (!ids.empty()) merge(std::move(ids), out);
}

}  // namespace tenon
