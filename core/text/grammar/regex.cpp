// From trees to automata. ^, $ and \b look at what is around a place: each state of the plain automaton is split by
// what was read before it and by what it asks of the next character. Look-aheads intersect with what follows them.
#include "text/grammar/regex.hpp"

#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "text/grammar/dfa_build.hpp"
#include "text/grammar/regex_parse.hpp"

namespace tenon::grammar {
namespace {

using Kind = Regex::Kind;

/// An automaton whose edges may also be assertions.
struct Assertion {
  uint32_t from;
  Kind kind;
  uint32_t to;
};

/// What is known at a place of the text.
struct Around {
  bool started = false;     // something was read
  bool ended = false;       // nothing more may be read
  bool after_word = false;  // the last character is one of words
  enum Next : uint8_t { anything, word, no_word } next = anything;
  uint32_t number() const { return started + 2u * ended + 4u * after_word + 8u * next; }
};
constexpr uint32_t kArounds = 24;

Around around_of(uint32_t number) {
  return {(number & 1) != 0, (number & 2) != 0, (number & 4) != 0, static_cast<Around::Next>(number >> 3)};
}

bool is_word(int byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || byte == '_';
}

class Compiler {
 public:
  Dfa run(const Regex& regex) {
    const uint32_t start = nfa_.add_state(), end = nfa_.add_state();
    build(regex, start, end);
    return assertions_.empty() ? nfa_.determinize(start, end) : split(start, end);
  }

 private:
  void build(const Regex& r, uint32_t from, uint32_t to) {
    switch (r.kind) {
      case Kind::set:
        return build_set(r.set, from, to);
      case Kind::concat:
        return build_concat(r.parts, from, to);
      case Kind::either:
        for (const Regex& part : r.parts) build(part, from, to);
        return;
      case Kind::repeat:
        return build_repeat(r, from, to);
      case Kind::ahead:
      case Kind::no_ahead:
        fail(ErrorCode::unsupported, "[regex] a look-ahead within a group or a repetition cannot be enforced");
      default:
        assertions_.push_back({from, r.kind, to});
    }
  }

  // The smallest automaton of the set: a repetition has it many times.
  void build_set(const CharSet& set, uint32_t from, uint32_t to) {
    Dfa& dfa = sets_[set.ranges()];
    if (dfa.empty()) dfa = one_of(set);
    std::vector<uint32_t> state(dfa.size());
    for (uint32_t s = 0; s < dfa.size(); ++s)
      state[s] = dfa.accepts(s) ? to : s == dfa.start() ? from : nfa_.add_state();
    for (uint32_t s = 0; s < dfa.size(); ++s)
      for_each_run(dfa, s,
                   [&](uint8_t first, uint8_t last, uint32_t next) { nfa_.edge(state[s], first, last, state[next]); });
  }

  void build_concat(const std::vector<Regex>& parts, uint32_t from, uint32_t to) {
    if (parts.empty()) return nfa_.empty_edge(from, to);
    for (size_t i = 0; i < parts.size(); ++i) {
      const uint32_t next = i + 1 < parts.size() ? nfa_.add_state() : to;
      build(parts[i], from, next);
      from = next;
    }
  }

  void build_repeat(const Regex& r, uint32_t from, uint32_t to) {
    uint32_t last = from;  // where the last copy begins
    for (uint32_t i = 0; i < r.min; ++i) {
      last = nfa_.add_state();
      nfa_.empty_edge(from, last);
      const uint32_t next = nfa_.add_state();
      build(r.parts[0], last, next);
      from = next;
    }
    if (r.max == Regex::kNoEnd && r.min > 0) {
      nfa_.empty_edge(from, last);
      return nfa_.empty_edge(from, to);
    }
    if (r.max == Regex::kNoEnd) {
      const uint32_t loop = nfa_.add_state();
      nfa_.empty_edge(from, loop);
      build(r.parts[0], loop, loop);
      nfa_.empty_edge(loop, to);
      return;
    }
    for (uint32_t i = r.min; i < r.max; ++i) {
      const uint32_t next = nfa_.add_state();
      nfa_.empty_edge(from, to);
      build(r.parts[0], from, next);
      from = next;
    }
    nfa_.empty_edge(from, to);
  }

  static bool hold(Kind kind, Around& around) {
    if (kind == Kind::begin) return !around.started;
    if (kind == Kind::end) return around.ended = true;
    const bool wanted = (kind == Kind::word) != around.after_word;  // of the next character, to be one of words
    const Around::Next next = wanted ? Around::word : Around::no_word;
    if (around.next != Around::anything && around.next != next) return false;
    around.next = next;
    return true;
  }

  /// The same language without assertions.
  Dfa split(uint32_t start, uint32_t end) {
    std::map<uint32_t, std::vector<const Assertion*>> assertions;
    for (const Assertion& a : assertions_) assertions[a.from].push_back(&a);
    Nfa out;
    std::map<uint32_t, uint32_t> numbers;
    std::vector<uint32_t> work;
    const uint32_t accept = out.add_state();
    const auto number = [&](uint32_t state, Around around) {
      const auto [it, added] = numbers.try_emplace(state * kArounds + around.number(), 0);
      if (added) it->second = out.add_state(), work.push_back(it->first);
      return it->second;
    };
    const uint32_t first = number(start, {});
    while (!work.empty()) {
      const uint32_t key = work.back();
      work.pop_back();
      const uint32_t state = key / kArounds, own = numbers.at(key);
      const Around around = around_of(key % kArounds);
      for (uint32_t to : nfa_.empty_edges(state)) out.empty_edge(own, number(to, around));
      for (const Assertion* a : assertions[state])
        if (Around then = around; hold(a->kind, then)) out.empty_edge(own, number(a->to, then));
      if (state == end && around.next != Around::word) out.empty_edge(own, accept);
      if (around.ended) continue;
      for (const Nfa::Edge& e : nfa_.edges(state)) follow(out, own, around, e, number);
    }
    return out.determinize(first, accept);
  }

  // A byte within a character is none of words; what is asked of the next character was met by its first byte.
  template <class Number>
  static void follow(Nfa& out, uint32_t own, const Around& around, const Nfa::Edge& edge, Number number) {
    for (int b = edge.first; b <= edge.last;) {
      const bool word = is_word(b);
      const int begin = b;
      while (b <= edge.last && is_word(b) == word) ++b;
      if (around.next != Around::anything && (around.next == Around::word) != word) continue;
      const Around then{true, false, word, Around::anything};
      out.edge(own, static_cast<uint8_t>(begin), static_cast<uint8_t>(b - 1), number(edge.to, then));
    }
  }

  Nfa nfa_;
  std::vector<Assertion> assertions_;
  std::map<std::vector<CharSet::Range>, Dfa> sets_;
};

Regex anything() { return {Kind::repeat, {}, {{Kind::set, CharSet::all()}}, 0, Regex::kNoEnd}; }

bool is_look(const Regex& r) { return r.kind == Kind::ahead || r.kind == Kind::no_ahead; }

bool mentions(const Regex& r, Kind kind) {
  return r.kind == kind ||
         std::any_of(r.parts.begin(), r.parts.end(), [&](const Regex& p) { return mentions(p, kind); });
}

/// The texts of all parts in a row up to the end of the text. A look-ahead speaks of all that follows it.
Dfa follow_to_end(std::vector<Regex> parts) {
  const auto look = std::find_if(parts.begin(), parts.end(), is_look);
  if (look == parts.end()) return Compiler().run({Kind::concat, {}, std::move(parts)});
  std::vector<Regex> before(parts.begin(), look), after(look + 1, parts.end());
  const bool wanted = look->kind == Kind::ahead;
  for (const Regex& r : after)
    if (mentions(r, Kind::begin) && !before.empty())
      fail(ErrorCode::unsupported, "[regex] ^ behind a look-ahead cannot be enforced");
  Dfa condition = follow_to_end({std::move(look->parts[0]), anything()});
  Dfa rest = follow_to_end(std::move(after));
  rest = wanted ? intersect(rest, condition) : subtract(rest, condition);
  if (before.empty()) return rest;
  for (const Regex& r : before)
    if (mentions(r, Kind::end) || mentions(r, Kind::word) || mentions(r, Kind::no_word))
      fail(ErrorCode::unsupported, "[regex] $ or \\b before a look-ahead cannot be enforced");
  return concatenate(Compiler().run({Kind::concat, {}, std::move(before)}), rest);
}

/// The pattern's parts in a row, groups that only hold some opened.
void flatten(Regex regex, std::vector<Regex>& out) {
  if (regex.kind != Kind::concat) return out.push_back(std::move(regex));
  for (Regex& part : regex.parts) flatten(std::move(part), out);
}

}  // namespace

Dfa one_of(const CharSet& set) {
  Nfa nfa;
  const uint32_t start = nfa.add_state(), end = nfa.add_state();
  for (const auto& [first, last] : set.ranges()) nfa.characters(start, first, last, end);
  return nfa.determinize(start, end);
}

Dfa regex(std::string_view pattern) {
  std::vector<Regex> parts;
  flatten(parse_regex(pattern), parts);
  return follow_to_end(std::move(parts));
}

Dfa regex(const Regex& tree) { return Compiler().run(tree); }

Dfa regex_search(std::string_view pattern) {
  std::vector<Regex> parts;
  flatten(parse_regex(pattern), parts);
  // ^ in front and $ at the end say that nothing is around: look-aheads can then be followed.
  if (!parts.empty() && parts.front().kind == Kind::begin)
    parts.erase(parts.begin());
  else
    parts.insert(parts.begin(), anything());
  if (!parts.empty() && parts.back().kind == Kind::end)
    parts.pop_back();
  else
    parts.push_back(anything());
  return follow_to_end(std::move(parts));
}

}  // namespace tenon::grammar
