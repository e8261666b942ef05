#include "text/grammar/mask.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace tenon::grammar {
namespace {

constexpr size_t kMaxMaskBytes = size_t{64} << 20;

void unite(Mask& mask, const Mask& other) {
  for (size_t i = 0; i < mask.size(); ++i) mask[i] |= other[i];
}

}  // namespace

TokenMasks::TokenMasks(std::shared_ptr<Compiled> grammar, std::shared_ptr<const VocabularyTrie> vocabulary)
    : grammar_(std::move(grammar)), vocabulary_(std::move(vocabulary)) {
  if (grammar_->start() == kNoState) fail(ErrorCode::usage, "[grammar] nothing at all matches");
  const uint32_t depth =
      std::max({vocabulary_->short_plain().depth(), vocabulary_->long_plain().depth(), vocabulary_->rest().depth()});
  path_.resize(depth + 1);
  plan_characters();
}

// UTF-8 (RFC 3629, section 4) without the bytes that a JSON string must escape.
void TokenMasks::plan_characters() {
  static const std::vector<std::vector<Range>> kRanges = {
      {{0x20, 0x21, -1},
       {0x23, 0x5B, -1},
       {0x5D, 0x7F, -1},
       {0xC2, 0xDF, 1},
       {0xE0, 0xE0, 2},
       {0xE1, 0xEC, 3},
       {0xED, 0xED, 4},
       {0xEE, 0xEF, 3},
       {0xF0, 0xF0, 5},
       {0xF1, 0xF3, 6},
       {0xF4, 0xF4, 7}},
      {{0x80, 0xBF, -1}},
      {{0xA0, 0xBF, 1}},
      {{0x80, 0xBF, 1}},
      {{0x80, 0x9F, 1}},
      {{0x90, 0xBF, 3}},
      {{0x80, 0xBF, 3}},
      {{0x80, 0x8F, 3}},
  };
  for (const std::vector<Range>& ranges : kRanges) {
    std::vector<Step>& steps = steps_.emplace_back();
    for (const Range& range : ranges) {
      std::vector<bool> have(grammar_->n_classes());
      for (int b = range.first; b <= range.last; ++b) {
        const uint8_t kind = grammar_->class_of(static_cast<uint8_t>(b));
        if (!have[kind]) steps.push_back({static_cast<uint8_t>(b), range.next});
        have[kind] = true;
      }
    }
  }
}

// What of all plain characters can come: adds where they lead.
TokenMasks::Reach TokenMasks::one_character(State state, std::vector<State>& after) {
  bool any = false, all = true;
  std::vector<std::pair<State, int>> work{{state, 0}}, done;
  while (!work.empty()) {
    const auto at = work.back();
    work.pop_back();
    if (std::find(done.begin(), done.end(), at) != done.end()) continue;
    done.push_back(at);
    for (const Step& step : steps_[static_cast<size_t>(at.second)]) {
      const State next = grammar_->next(at.first, step.byte);
      if (next == kNoState) {
        all = false;
        if (any) return Reach::some;
      } else {
        any = true;
        if (!all) return Reach::some;
        if (step.next < 0)
          after.push_back(next);
        else
          work.emplace_back(next, step.next);
      }
    }
  }
  return any ? Reach::all : Reach::none;
}

// The greatest n for which every plain text of at most n characters can come: 0 also where one character can and
// another cannot. `endless` when there is no end to it.
uint32_t TokenMasks::plain_reach(State state, bool& endless) {
  std::vector<State> level{state}, seen{state};
  endless = false;
  bool back = false;  // some characters lead to where others came from, so that texts of all lengths are alive
  for (uint32_t n = 0; n <= VocabularyTrie::kShort; ++n) {
    std::vector<State> after;
    bool none = true, all = true;
    for (State s : level) {
      const Reach reach = one_character(s, after);
      none = none && reach == Reach::none;
      all = all && reach == Reach::all;
      if (!none && !all) return 0;
    }
    if (none) return back ? 0 : n;
    std::sort(after.begin(), after.end());
    after.erase(std::unique(after.begin(), after.end()), after.end());
    level.clear();
    std::set_difference(after.begin(), after.end(), seen.begin(), seen.end(), std::back_inserter(level));
    back = back || level.size() < after.size();
    if (level.empty()) {
      endless = true;
      return VocabularyTrie::kShort;
    }
    seen.insert(seen.end(), level.begin(), level.end());
    std::sort(seen.begin(), seen.end());
  }
  return VocabularyTrie::kShort;
}

void TokenMasks::walk(const TokenTrie& trie, State state, Mask& mask) {
  const std::vector<TokenTrie::Node>& nodes = trie.nodes();
  path_[0] = state;
  for (size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    const State next = grammar_->next(path_[node.depth - 1u], node.byte);
    if (next == kNoState) {
      i = node.skip;
      continue;
    }
    path_[node.depth] = next;
    const int32_t* ids = trie.tokens(node);
    for (uint32_t t = 0; t < node.n_tokens; ++t) mask[static_cast<size_t>(ids[t]) / 64] |= uint64_t{1} << (ids[t] % 64);
    ++i;
  }
}

std::shared_ptr<const Mask> TokenMasks::compute(State state) {
  auto mask = std::make_shared<Mask>(vocabulary_->all_plain().size());
  bool endless = false;
  const uint32_t reach = plain_reach(state, endless);
  if (endless) {
    unite(*mask, vocabulary_->all_plain());
  } else if (reach > 0) {
    unite(*mask, vocabulary_->plain_up_to(reach));
    if (reach == VocabularyTrie::kShort) walk(vocabulary_->long_plain(), state, *mask);
  } else {
    walk(vocabulary_->short_plain(), state, *mask);
    walk(vocabulary_->long_plain(), state, *mask);
  }
  walk(vocabulary_->rest(), state, *mask);
  return mask;
}

std::shared_ptr<const Mask> TokenMasks::mask(State state) {
  const std::lock_guard lock(grammar_->mutex());
  if (const auto it = masks_.find(state); it != masks_.end()) return it->second;
  auto mask = compute(state);
  if ((masks_.size() + 1) * mask->size() * sizeof(uint64_t) > kMaxMaskBytes) masks_.clear();
  return masks_[state] = std::move(mask);
}

State TokenMasks::after_bytes(State state, std::string_view bytes) {
  for (char c : bytes)
    if ((state = grammar_->next(state, static_cast<uint8_t>(c))) == kNoState) break;
  return state;
}

State TokenMasks::after(State state, int32_t token) {
  const std::string_view bytes = vocabulary_->piece(token);
  if (bytes.empty()) return kNoState;
  const std::lock_guard lock(grammar_->mutex());
  return after_bytes(state, bytes);
}

bool TokenMasks::accepts(State state) {
  const std::lock_guard lock(grammar_->mutex());
  return grammar_->accepts(state);
}

bool TokenMasks::complete(State state) {
  if (!accepts(state)) return false;
  const auto allowed = mask(state);
  return std::all_of(allowed->begin(), allowed->end(), [](uint64_t word) { return word == 0; });
}

}  // namespace tenon::grammar
