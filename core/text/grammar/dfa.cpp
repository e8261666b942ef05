// Operations on automata. Products follow pairs of states; what concatenates goes through a nondeterministic one.
#include "text/grammar/dfa.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <unordered_map>

#include "base/error.hpp"
#include "text/grammar/dfa_build.hpp"

namespace tenon::grammar {
namespace {

constexpr int32_t kLastCharacter = 0x10FFFF;

/// Follows both at once; `keep` says which of their endings are endings of the result.
template <class Keep>
Dfa product(const Dfa& a, const Dfa& b, Keep keep) {
  ByteClasses classes;
  classes.refine(a);
  classes.refine(b);
  classes.close();
  DfaBuilder builder(classes);
  std::unordered_map<uint64_t, uint32_t> numbers;
  std::vector<std::pair<uint32_t, uint32_t>> pairs;
  const auto ends = [](const Dfa& dfa, uint32_t s) { return s != Dfa::kDead && dfa.accepts(s); };
  const auto after = [](const Dfa& dfa, uint32_t s, uint8_t byte) { return s == Dfa::kDead ? s : dfa.next(s, byte); };
  const auto number = [&](uint32_t s, uint32_t t) {
    const auto [it, added] = numbers.try_emplace(uint64_t{s} << 32 | t, builder.size());
    if (added) {
      builder.add_state(keep(ends(a, s), ends(b, t)));
      pairs.emplace_back(s, t);
    }
    return it->second;
  };
  number(a.start(), b.start());
  for (uint32_t at = 0; at < pairs.size(); ++at)
    for (uint32_t c = 0; c < classes.size(); ++c) {
      const auto [s, t] = pairs[at];
      const uint8_t byte = classes.sample(c);
      const uint32_t x = after(a, s, byte), y = after(b, t, byte);
      // Alone, the first or the second may be all that can still end.
      if (x == Dfa::kDead && y == Dfa::kDead) continue;
      if ((x == Dfa::kDead && !keep(false, true)) || (y == Dfa::kDead && !keep(true, false))) continue;
      builder.set(at, c, number(x, y));
    }
  return std::move(builder).finish();
}

/// Adds the automaton's states; returns its start. Its endings get an empty edge to `end`.
uint32_t embed(Nfa& nfa, const Dfa& dfa, uint32_t end) {
  const uint32_t first = nfa.size();
  for (uint32_t s = 0; s < dfa.size(); ++s) nfa.add_state();
  for (uint32_t s = 0; s < dfa.size(); ++s) {
    for_each_run(dfa, s, [&](uint8_t from, uint8_t to, uint32_t next) { nfa.edge(first + s, from, to, first + next); });
    if (dfa.accepts(s)) nfa.empty_edge(first + s, end);
  }
  return first;
}

void spell(Nfa& nfa, uint32_t from, std::string_view word, uint32_t to) {
  for (size_t i = 0; i < word.size(); ++i) {
    const uint32_t next = i + 1 < word.size() ? nfa.add_state() : to;
    nfa.edge(from, static_cast<uint8_t>(word[i]), static_cast<uint8_t>(word[i]), next);
    from = next;
  }
  if (word.empty()) nfa.empty_edge(from, to);
}

}  // namespace

Dfa literal(std::string_view bytes) { return literals(std::span(&bytes, 1)); }

Dfa literals(std::span<const std::string_view> words) {
  Nfa nfa;
  const uint32_t start = nfa.add_state(), end = nfa.add_state();
  for (std::string_view word : words) spell(nfa, start, word, end);
  return nfa.determinize(start, end);
}

const Dfa& any_text() {
  static const Dfa dfa = [] {
    Nfa nfa;
    const uint32_t start = nfa.add_state(), end = nfa.add_state();
    nfa.characters(start, 0, kLastCharacter, start);
    nfa.empty_edge(start, end);
    return nfa.determinize(start, end);
  }();
  return dfa;
}

Dfa text_of_length(uint32_t min, uint32_t max) {
  Nfa nfa;
  const uint32_t start = nfa.add_state(), end = nfa.add_state();
  nfa.characters(start, 0, kLastCharacter, end);
  return repeat(nfa.determinize(start, end), min, max);
}

Dfa unite(const Dfa& a, const Dfa& b) {
  return product(a, b, [](bool x, bool y) { return x || y; });
}
Dfa intersect(const Dfa& a, const Dfa& b) {
  return product(a, b, [](bool x, bool y) { return x && y; });
}
Dfa subtract(const Dfa& a, const Dfa& b) {
  return product(a, b, [](bool x, bool y) { return x && !y; });
}

Dfa concatenate(const Dfa& a, const Dfa& b) {
  if (a.empty() || b.empty()) return {};
  Nfa nfa;
  const uint32_t end = nfa.add_state();
  const uint32_t second = embed(nfa, b, end), first = embed(nfa, a, second);
  return nfa.determinize(first, end);
}

Dfa repeat(const Dfa& a, uint32_t min, uint32_t max) {
  if (max < min) return {};
  if (a.empty()) return min == 0 ? literal("") : Dfa();
  Nfa nfa;
  const uint32_t end = nfa.add_state();
  const uint32_t start = nfa.add_state();
  uint32_t at = start;
  for (uint32_t i = 0; i < min; ++i) {
    const uint32_t next = nfa.add_state();
    nfa.empty_edge(at, embed(nfa, a, next));
    at = next;
  }
  if (max == kUnlimited) {
    nfa.empty_edge(at, embed(nfa, a, at));
  } else {
    for (uint32_t i = min; i < max; ++i) {
      const uint32_t next = nfa.add_state();
      nfa.empty_edge(at, end);
      nfa.empty_edge(at, embed(nfa, a, next));
      at = next;
    }
  }
  nfa.empty_edge(at, end);
  return nfa.determinize(start, end);
}

bool same_language(const Dfa& a, const Dfa& b) { return subtract(a, b).empty() && subtract(b, a).empty(); }

bool accepts(const Dfa& dfa, std::string_view word) {
  uint32_t state = dfa.start();
  for (char c : word) {
    if (state == Dfa::kDead) return false;
    state = dfa.next(state, static_cast<uint8_t>(c));
  }
  return state != Dfa::kDead && dfa.accepts(state);
}

// All states are reachable and alive, so a cycle anywhere means words without end; otherwise the states are counted in
// an order in which each comes behind all that lead to it.
uint64_t count_words(const Dfa& dfa, uint64_t limit) {
  std::vector<uint32_t> incoming(dfa.size(), 0), ready;
  const auto for_each_next = [&](uint32_t state, auto visit) {
    for (int b = 0; b < 256; ++b)
      if (const uint32_t t = dfa.next(state, static_cast<uint8_t>(b)); t != Dfa::kDead) visit(t);
  };
  for (uint32_t s = 0; s < dfa.size(); ++s) for_each_next(s, [&](uint32_t t) { ++incoming[t]; });
  if (!dfa.empty() && incoming[dfa.start()] == 0) ready.push_back(dfa.start());
  std::vector<uint64_t> ways(dfa.size(), 0);
  uint64_t words = 0;
  uint32_t done = 0;
  if (!dfa.empty()) ways[dfa.start()] = 1;
  for (; !ready.empty(); ++done) {
    const uint32_t s = ready.back();
    ready.pop_back();
    if (dfa.accepts(s)) words = std::min(limit, words + ways[s]);
    for_each_next(s, [&](uint32_t t) {
      ways[t] = std::min(limit, ways[t] + ways[s]);
      if (--incoming[t] == 0) ready.push_back(t);
    });
  }
  return done < dfa.size() ? limit : words;
}

namespace {

/// By state: how many bytes the nearest ending is away.
std::vector<uint32_t> distances(const Dfa& dfa) {
  std::vector<std::vector<uint32_t>> before(dfa.size());
  std::vector<uint32_t> out(dfa.size(), UINT32_MAX), level;
  for (uint32_t s = 0; s < dfa.size(); ++s) {
    for_each_run(dfa, s, [&](uint8_t, uint8_t, uint32_t next) { before[next].push_back(s); });
    if (dfa.accepts(s)) out[s] = 0, level.push_back(s);
  }
  for (uint32_t distance = 1; !level.empty(); ++distance) {
    std::vector<uint32_t> next;
    for (uint32_t t : level)
      for (uint32_t s : before[t])
        if (out[s] == UINT32_MAX) out[s] = distance, next.push_back(s);
    level = std::move(next);
  }
  return out;
}

/// Adds words of one length, as far as the steps suffice.
class WordsOfLength {
 public:
  WordsOfLength(const Dfa& dfa, const std::vector<uint32_t>& distances, size_t limit, std::vector<std::string>& out)
      : dfa_(dfa), distances_(distances), limit_(limit), out_(out) {}
  bool run(uint32_t state, uint32_t left) {
    if (left == 0) {
      if (dfa_.accepts(state)) out_.push_back(word_);
      return out_.size() < limit_;
    }
    for (int b = 0; b < 256; ++b) {
      const uint32_t next = dfa_.next(state, static_cast<uint8_t>(b));
      if (next == Dfa::kDead || distances_[next] > left - 1) continue;
      if (steps_-- == 0) return false;
      word_ += static_cast<char>(b);
      const bool more = run(next, left - 1);
      word_.pop_back();
      if (!more) return false;
    }
    return true;
  }

 private:
  const Dfa& dfa_;
  const std::vector<uint32_t>& distances_;
  size_t limit_, steps_ = 100000;
  std::vector<std::string>& out_;
  std::string word_;
};

}  // namespace

std::vector<std::string> some_words(const Dfa& dfa, size_t limit) {
  constexpr uint32_t kLongest = 4096;
  std::vector<std::string> out;
  if (dfa.empty() || limit == 0) return out;
  const std::vector<uint32_t> away = distances(dfa);
  WordsOfLength words(dfa, away, limit, out);
  for (uint32_t length = away[dfa.start()]; length < std::min(dfa.size() + 1, kLongest); ++length)
    if (!words.run(dfa.start(), length)) break;
  return out;
}

LabelledDfa label(std::span<const Dfa* const> languages) {
  ByteClasses classes;
  for (const Dfa* dfa : languages) classes.refine(*dfa);
  classes.close();
  using Places = std::vector<std::pair<uint32_t, uint32_t>>;  // language and its state, where alive
  DfaBuilder builder(classes);
  std::map<Places, uint32_t> numbers;
  std::vector<const Places*> sets;
  LabelledDfa out;
  const auto number = [&](Places places) {
    const auto [it, added] = numbers.try_emplace(std::move(places), builder.size());
    if (!added) return it->second;
    int32_t owner = -1;
    for (const auto& [language, state] : it->first) {
      if (!languages[language]->accepts(state)) continue;
      if (owner >= 0) fail(ErrorCode::internal, "[grammar] languages {} and {} share a word", owner, language);
      owner = static_cast<int32_t>(language);
    }
    builder.add_state(owner >= 0);
    sets.push_back(&it->first);
    out.label.push_back(owner);
    return it->second;
  };
  Places start;
  for (uint32_t i = 0; i < languages.size(); ++i)
    if (!languages[i]->empty()) start.emplace_back(i, languages[i]->start());
  if (start.empty()) return out;
  number(std::move(start));
  for (uint32_t at = 0; at < sets.size(); ++at)
    for (uint32_t c = 0; c < classes.size(); ++c) {
      Places next;
      for (const auto& [language, state] : *sets[at])
        if (const uint32_t t = languages[language]->next(state, classes.sample(c)); t != Dfa::kDead)
          next.emplace_back(language, t);
      if (!next.empty()) builder.set(at, c, number(std::move(next)));
    }
  out.dfa = std::move(builder).finish_as_is();
  return out;
}

}  // namespace tenon::grammar
