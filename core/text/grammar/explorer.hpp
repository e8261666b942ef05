// Where a grammar can be: sets of stacks of open nodes, all numbered. A stack is its top frame, which knows the frame
// beneath it; equal stacks and equal sets are one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "text/grammar/analysis.hpp"
#include "text/grammar/array_plan.hpp"
#include "text/grammar/grammar.hpp"
#include "text/grammar/object_plan.hpp"

namespace tenon::grammar {

using FrameId = uint32_t;
inline constexpr FrameId kBottom = UINT32_MAX;  // beneath the root

struct Frame {
  NodeId node = 0;
  FrameId parent = kBottom;
  uint64_t place = 0;  // what was read of the node; its kind says how
  uint64_t text = 0;   // of an object: the place within a key
  bool operator==(const Frame&) const = default;
};

/// A number for each distinct item.
template <class T, class Hash>
class Numbering {
 public:
  uint32_t operator()(const T& item) {
    const auto [it, added] = numbers_.try_emplace(item, static_cast<uint32_t>(items_.size()));
    if (added) items_.push_back(&it->first);
    return it->second;
  }
  const T& operator[](uint32_t number) const { return *items_[number]; }
  uint32_t size() const { return static_cast<uint32_t>(items_.size()); }

 private:
  std::unordered_map<T, uint32_t, Hash> numbers_;
  std::vector<const T*> items_;
};

struct FrameHash {
  size_t operator()(const Frame& f) const;
};
/// The frames that read the next byte, sorted; the output may end when kBottom is among them.
using Threads = std::vector<FrameId>;
struct ThreadsHash {
  size_t operator()(const Threads& threads) const;
};

/// An object node's plan, its key automaton, and the sets of members that were met.
struct ObjectTable {
  ObjectTable(const Object& object, const std::vector<uint8_t>& productive);
  uint32_t number(const Members& members);
  struct Entry {
    Members members;
    Bits keys;
    bool any_key, closable;
  };
  ObjectPlan plan;
  KeyReader reader;
  std::vector<Entry> entries;

 private:
  std::map<std::vector<uint64_t>, uint32_t> numbers_;
};

class Explorer {
 public:
  /// Errors as Compiled::compile.
  explicit Explorer(Grammar grammar);

  /// The number of the set in which everything begins, 0; UINT32_MAX when nothing at all matches.
  uint32_t start();
  /// The set after a byte; UINT32_MAX when it cannot come.
  uint32_t step(uint32_t set, uint8_t byte);
  bool accepts(uint32_t set) const { return !sets_[set].empty() && sets_[set].back() == kBottom; }
  uint32_t n_sets() const { return sets_.size(); }
  /// Numbers bytes so that those of one class do the same everywhere; returns how many classes there are.
  uint32_t byte_classes(uint8_t (&class_of)[256]) const;

 private:
  friend class Closure;
  uint32_t number(Threads& threads);
  bool goes_on(const Dfa& dfa, uint32_t state) const { return goes_on_.at(&dfa)[state] != 0; }
  void prepare(const Dfa* dfa);

  Grammar grammar_;
  Analysis analysis_;
  std::map<NodeId, ArrayPlan> arrays_;
  std::map<NodeId, std::unique_ptr<ObjectTable>> objects_;
  std::unordered_map<const Dfa*, std::vector<uint8_t>> goes_on_;  // by state: something may follow
  Numbering<Frame, FrameHash> frames_;
  Numbering<Threads, ThreadsHash> sets_;
};

}  // namespace tenon::grammar
