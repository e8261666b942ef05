#include "text/affix_bpe.hpp"

#include <algorithm>

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

bool AffixBpe::candidate(const Symbols& symbols, uint32_t left, Candidate& out) const {
  if (left == kNone || symbols.next[left] == kNone) return false;
  const int32_t left_id = symbols.ids[left], right_id = symbols.ids[symbols.next[left]];
  const auto merge = merges_.find(pair_of(left_id, right_id));
  if (merge == merges_.end()) return false;
  out = {merge->second.rank, left, merge->second.id, left_id, right_id};
  return true;
}

void AffixBpe::merge(std::vector<int32_t> ids, std::vector<int32_t>& out) const {
  Symbols symbols(std::move(ids));
  const auto later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
  };
  std::vector<Candidate> heap;
  Candidate c{};
  for (uint32_t i = 0; i < symbols.ids.size(); ++i)
    if (candidate(symbols, i, c)) heap.push_back(c);
  std::ranges::make_heap(heap, later);
  while (!heap.empty()) {
    std::ranges::pop_heap(heap, later);
    c = heap.back();
    heap.pop_back();
    const uint32_t right = symbols.ids[c.left] == c.left_id ? symbols.next[c.left] : kNone;
    if (right == kNone || symbols.ids[right] != c.right_id) continue;
    symbols.join(c.left, c.id);
    for (const uint32_t left : {symbols.previous[c.left], c.left}) {
      if (!candidate(symbols, left, c)) continue;
      heap.push_back(c);
      std::ranges::push_heap(heap, later);
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
