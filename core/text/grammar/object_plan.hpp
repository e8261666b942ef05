// What may still happen in an object: which keys, whether it may close.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "text/grammar/bits.hpp"
#include "text/grammar/grammar.hpp"

namespace tenon::grammar {

// Keys of different class differ; those of one class may be the same.
inline constexpr uint32_t kTextClasses = 61;

/// The members read so far, as far as they matter.
struct Members {
  Bits seen;               // of the properties
  uint32_t count = 0;      // of all members, as far as it matters; one past a maximum is kept apart from it
  uint64_t rest_seen = 0;  // classes of further keys' texts, where they have to differ
};

class ObjectPlan {
 public:
  /// `productive`, by node: something finite matches it.
  ObjectPlan(const Object& object, const std::vector<uint8_t>& productive);

  Members none() const { return {Bits(n_keys())}; }
  bool completable(const Members& members) const;
  bool closable(const Members& members) const;
  /// Keys by number, properties first, then the rests: those after which the object can be completed.
  Bits keys(const Members& members) const;
  Members with(const Members& members, size_t key, uint32_t text_class) const;
  NodeId value(size_t key) const;
  size_t n_keys() const { return object_.properties.size() + object_.rest.size(); }
  /// Members of no name must be told apart to be counted.
  bool must_differ() const { return must_differ_; }

 private:
  Bits missing(const Members& members) const;
  uint32_t different(const Members& members) const;
  uint32_t named(const Bits& keys) const;
  bool ok(NodeId node) const { return node != kNoNode && (*productive_)[node]; }
  void close_needs();

  const Object& object_;
  const std::vector<uint8_t>* productive_;
  std::vector<Bits> needs_;  // by property: what its presence asks for
  Bits required_, possible_;
  bool rest_possible_ = false, must_differ_ = false;
  uint32_t counted_ = 0;  // counts past this make no difference
};

/// All keys of an object in one automaton, which knows at each state whose names can still come.
class KeyReader {
 public:
  static constexpr uint32_t kStateBits = 17;
  KeyReader(const Object& object, bool must_differ);

  uint32_t start() const { return names_.dfa.start(); }
  const Dfa& dfa() const { return names_.dfa; }
  int32_t key(uint32_t state) const { return names_.label[state & kStateMask]; }
  uint32_t text_class(uint32_t state) const { return state >> kStateBits; }

  /// The keys of a set alone; a state is the automaton's, with the class of the text above it.
  struct Content {
    const KeyReader& reader;
    const Bits& allowed;
    uint32_t next(uint32_t state, uint8_t byte) const {
      const uint32_t next = reader.names_.dfa.next(state & kStateMask, byte);
      if (next == Dfa::kDead || !reader.reach_[next].intersects(allowed)) return Dfa::kDead;
      return next | (reader.must_differ_ ? ((state >> kStateBits) * 33 + byte) % kTextClasses << kStateBits : 0);
    }
    bool accepts(uint32_t state) const {
      const int32_t key = reader.key(state);
      return key >= 0 && allowed.has(static_cast<size_t>(key));
    }
  };

 private:
  static constexpr uint32_t kStateMask = (1u << kStateBits) - 1;
  void find_reach(size_t n_keys);
  LabelledDfa names_;
  std::vector<Bits> reach_;
  bool must_differ_;
};

}  // namespace tenon::grammar
