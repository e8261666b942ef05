#include "text/grammar/dfa_build.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <unordered_map>

#include "base/error.hpp"
#include "text/grammar/minimize.hpp"

namespace tenon::grammar {
namespace {

constexpr size_t kMaxWork = size_t{1} << 23;  // table entries, edges followed

}  // namespace

void ByteClasses::refine(const Dfa& dfa) {
  // Classes here are runs of bytes; a class of the automaton that is spread out becomes several.
  for (int b = 1; b < 256; ++b)
    if (dfa.class_of(static_cast<uint8_t>(b)) != dfa.class_of(static_cast<uint8_t>(b - 1))) starts_[b] = true;
}

void ByteClasses::close() {
  sample_.clear();
  for (int b = 0; b < 256; ++b) {
    if (starts_[b]) sample_.push_back(static_cast<uint8_t>(b));
    of_[b] = static_cast<uint8_t>(sample_.size() - 1);
  }
}

uint32_t DfaBuilder::add_state(bool accepts) {
  if (accepts_.size() >= Dfa::kMaxStates || table_.size() > kMaxWork)
    fail(ErrorCode::capacity, "[grammar] an automaton of more than {} states", accepts_.size());
  table_.resize(table_.size() + classes_.size(), Dfa::kDead);
  accepts_.push_back(accepts);
  return size() - 1;
}

// Leaves out states that cannot end. All are reachable: that is how they were found.
void DfaBuilder::trim() {
  const uint32_t k = classes_.size(), n = size();
  std::vector<std::vector<uint32_t>> before(n);
  std::vector<uint32_t> work, number(n, Dfa::kDead);
  for (uint32_t s = 0; s < n; ++s) {
    for (uint32_t c = 0; c < k; ++c)
      if (const uint32_t t = table_[s * k + c]; t != Dfa::kDead && (before[t].empty() || before[t].back() != s))
        before[t].push_back(s);
    if (accepts_[s]) work.push_back(s), number[s] = 0;
  }
  while (!work.empty()) {
    const uint32_t t = work.back();
    work.pop_back();
    for (uint32_t s : before[t])
      if (number[s] == Dfa::kDead) number[s] = 0, work.push_back(s);
  }
  uint32_t kept = 0;
  if (n == 0 || number[0] == Dfa::kDead) return table_.clear(), accepts_.clear();
  for (uint32_t& x : number)
    if (x != Dfa::kDead) x = kept++;
  if (kept == n) return;
  for (uint32_t s = 0; s < n; ++s) {
    if (number[s] == Dfa::kDead) continue;
    for (uint32_t c = 0; c < k; ++c) {
      const uint32_t t = table_[s * k + c];
      table_[number[s] * k + c] = t == Dfa::kDead ? t : number[t];
    }
    accepts_[number[s]] = accepts_[s];
  }
  table_.resize(size_t{kept} * k);
  accepts_.resize(kept);
}

std::vector<uint32_t> DfaBuilder::blocks() const {
  std::vector<Transition> transitions;
  const uint32_t k = classes_.size();
  for (uint32_t s = 0; s < size(); ++s)
    for (uint32_t c = 0; c < k; ++c)
      if (const uint32_t t = table_[s * k + c]; t != Dfa::kDead) transitions.push_back({s, c, t});
  return minimal_blocks(size(), accepts_, std::move(transitions));
}

// One state for each block, the start first, then in the order of their first state; columns that agree are merged.
Dfa DfaBuilder::quotient(const std::vector<uint32_t>& block_of) const {
  const uint32_t k = classes_.size();
  std::vector<uint32_t> number(size(), Dfa::kDead), chosen;  // by block; by number: a state of it
  for (uint32_t s = 0; s < size(); ++s) {
    if (number[block_of[s]] != Dfa::kDead) continue;
    number[block_of[s]] = static_cast<uint32_t>(chosen.size());
    chosen.push_back(s);
  }
  std::map<std::vector<uint32_t>, uint8_t> columns;
  std::vector<uint8_t> column_of(k);
  std::vector<const std::vector<uint32_t>*> distinct;
  for (uint32_t c = 0; c < k; ++c) {
    std::vector<uint32_t> column;
    for (uint32_t s : chosen) {
      const uint32_t t = table_[s * k + c];
      column.push_back(t == Dfa::kDead ? t : number[block_of[t]]);
    }
    const auto [it, added] = columns.try_emplace(std::move(column), static_cast<uint8_t>(columns.size()));
    if (added) distinct.push_back(&it->first);
    column_of[c] = it->second;
  }
  Dfa dfa;
  dfa.n_classes_ = static_cast<uint32_t>(distinct.size());
  for (int b = 0; b < 256; ++b) dfa.class_of_[b] = column_of[classes_.of(static_cast<uint8_t>(b))];
  dfa.table_.resize(chosen.size() * distinct.size());
  for (size_t s = 0; s < chosen.size(); ++s) {
    for (size_t c = 0; c < distinct.size(); ++c) dfa.table_[s * distinct.size() + c] = (*distinct[c])[s];
    dfa.accepts_.push_back(accepts_[chosen[s]]);
  }
  return dfa;
}

Dfa DfaBuilder::finish() && {
  trim();
  return size() == 0 ? Dfa() : quotient(blocks());
}

Dfa DfaBuilder::finish_as_is() && {
  std::vector<uint32_t> own(size());
  for (uint32_t s = 0; s < size(); ++s) own[s] = s;
  return size() == 0 ? Dfa() : quotient(own);
}

uint32_t Nfa::add_state() {
  if (states_.size() >= kMaxWork / 16) fail(ErrorCode::capacity, "[grammar] more than {} places", states_.size());
  states_.emplace_back();
  return size() - 1;
}

void Nfa::edge(uint32_t from, uint8_t first, uint8_t last, uint32_t to) {
  states_[from].edges.push_back({first, last, to});
}

void Nfa::empty_edge(uint32_t from, uint32_t to) { states_[from].empty.push_back(to); }

namespace {

int encode(int32_t code, uint8_t (&out)[4]) {
  const int n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (int i = n - 1; i > 0; --i, code >>= 6) out[i] = static_cast<uint8_t>(0x80 | (code & 0x3F));
  out[0] = static_cast<uint8_t>(n == 1 ? code : ((0xF00 >> n) & 0xFF) | code);
  return n;
}

}  // namespace

void Nfa::characters(uint32_t from, int32_t first, int32_t last, uint32_t to) {
  if (first < 0xD800 && last > 0xD7FF) {
    characters(from, first, 0xD7FF, to);
    first = 0xE000;
  }
  if (first >= 0xD800 && first <= 0xDFFF) first = 0xE000;
  for (const int32_t end : {0x7F, 0x7FF, 0xFFFF, 0x10FFFF}) {
    if (first > last || first > 0x10FFFF) return;
    if (first > end) continue;
    uint8_t a[4], b[4];
    const int n = encode(first, a);
    encode(std::min(last, end), b);
    byte_ranges(from, a, b, n, to);
    first = end + 1;
  }
}

// All sequences of n bytes between two of them, whose later bytes are 80..BF.
void Nfa::byte_ranges(uint32_t from, const uint8_t* first, const uint8_t* last, int n, uint32_t to) {
  if (n == 1) return edge(from, *first, *last, to);
  static constexpr uint8_t kLeast[] = {0x80, 0x80, 0x80}, kMost[] = {0xBF, 0xBF, 0xBF};
  const auto at_least = std::equal(first + 1, first + n, kLeast), at_most = std::equal(last + 1, last + n, kMost);
  const auto part = [&](uint8_t lead_first, uint8_t lead_last, const uint8_t* a, const uint8_t* b) {
    const uint32_t next = add_state();
    edge(from, lead_first, lead_last, next);
    byte_ranges(next, a, b, n - 1, to);
  };
  if (*first == *last) return part(*first, *last, first + 1, last + 1);
  if (!at_least) part(*first, *first, first + 1, kMost);
  const int middle_first = *first + !at_least, middle_last = *last - !at_most;
  if (middle_first <= middle_last)
    part(static_cast<uint8_t>(middle_first), static_cast<uint8_t>(middle_last), kLeast, kMost);
  if (!at_most) part(*last, *last, kLeast, last + 1);
}

/// The subset construction.
class Subsets {
 public:
  Subsets(const Nfa& nfa, uint32_t accept) : nfa_(nfa), accept_(accept), seen_(nfa.size(), 0) {
    ByteClasses classes;
    for (uint32_t s = 0; s < nfa.size(); ++s)
      for (const Nfa::Edge& e : nfa.edges(s)) classes.cut(e.first, e.last);
    classes.close();
    builder_.emplace_back(std::move(classes));
  }

  Dfa run(uint32_t start) {
    number({start});
    DfaBuilder& builder = builder_.front();
    for (uint32_t s = 0; s < sets_.size(); ++s) {
      std::map<uint32_t, std::vector<uint32_t>> next;  // by class
      for (uint32_t state : *sets_[s])
        for (const Nfa::Edge& e : nfa_.edges(state))
          for (uint32_t c = builder.classes().of(e.first); c <= builder.classes().of(e.last); ++c) {
            next[c].push_back(e.to);
            work();
          }
      for (auto& [kind, targets] : next) builder.set(s, kind, number(std::move(targets)));
    }
    return std::move(builder).finish();
  }

 private:
  struct Hash {
    size_t operator()(const std::vector<uint32_t>& v) const {
      uint64_t h = v.size();
      for (uint32_t x : v) h = (h ^ x) * 0x9E3779B97F4A7C15ull, h ^= h >> 29;
      return h;
    }
  };

  void work() {
    if (++work_ > kMaxWork) fail(ErrorCode::capacity, "[grammar] more than {} steps to make an automaton", kMaxWork);
  }

  /// The number of the set with everything behind empty edges.
  uint32_t number(std::vector<uint32_t> set) {
    ++round_;
    std::vector<uint32_t> kept, open;
    for (uint32_t s : set)
      if (seen_[s] != round_) seen_[s] = round_, open.push_back(s);
    bool accepts = false;
    while (!open.empty()) {
      const uint32_t s = open.back();
      open.pop_back();
      work();
      accepts = accepts || s == accept_;
      if (!nfa_.edges(s).empty()) kept.push_back(s);
      for (uint32_t t : nfa_.empty_edges(s))
        if (seen_[t] != round_) seen_[t] = round_, open.push_back(t);
    }
    std::sort(kept.begin(), kept.end());
    kept.push_back(accepts);
    const auto [it, added] = numbers_.try_emplace(std::move(kept), static_cast<uint32_t>(sets_.size()));
    if (!added) return it->second;
    builder_.front().add_state(accepts);
    members_.emplace_back(it->first.begin(), it->first.end() - 1);
    sets_.push_back(&members_.back());
    return it->second;
  }

  const Nfa& nfa_;
  uint32_t accept_, round_ = 0;
  size_t work_ = 0;
  std::vector<uint32_t> seen_;
  std::vector<DfaBuilder> builder_;
  std::unordered_map<std::vector<uint32_t>, uint32_t, Hash> numbers_;
  std::deque<std::vector<uint32_t>> members_;
  std::vector<const std::vector<uint32_t>*> sets_;
};

Dfa Nfa::determinize(uint32_t start, uint32_t accept) const { return Subsets(*this, accept).run(start); }

}  // namespace tenon::grammar
