// One step of all stacks of a set: what each reads of the byte, and everything that opens or closes behind it.
#pragma once

#include <cstdint>
#include <unordered_set>
#include <vector>

#include "text/grammar/explorer.hpp"

namespace tenon::grammar {

class Closure {
 public:
  explicit Closure(Explorer& explorer) : x_(explorer) {}

  void enter(NodeId node, FrameId parent);
  void step(FrameId frame, uint8_t byte);
  /// The stacks that wait for the next byte. Error{capacity} when there are too many.
  Threads take();

 private:
  struct Work {
    NodeId node;  // kNoNode: a node ended whose frame beneath is `parent`
    FrameId parent;
  };
  void finish(FrameId parent) { work_.push_back({kNoNode, parent}); }
  void wait(const Frame& frame);
  FrameId open(const Frame& frame);
  void run(const Work& work);
  void begin(NodeId node, FrameId parent);
  void resume(const Frame& frame);
  void run_sequence(const Sequence& node, NodeId id, uint64_t at, FrameId parent);
  void run_repeat(const Repeat& node, NodeId id, uint64_t count, FrameId parent);

  void read_bytes(const Bytes& node, const Frame& frame, uint8_t byte);
  void read_string(const JsonString& node, const Frame& frame, uint8_t byte);
  void read_array(const Frame& frame, uint8_t byte);
  void read_object(const Frame& frame, uint8_t byte);
  void read_key(ObjectTable& table, const Frame& frame, uint8_t byte);
  void array_gap(Frame frame);
  void array_distinct(const Frame& frame);
  bool may_go_on(const Frame& frame) const;
  void object_gap(Frame frame);
  bool blank(uint32_t& whitespace, uint8_t byte) const;
  bool after_blank(uint32_t whitespace) const { return x_.grammar_.whitespace->accepts(whitespace); }

  Explorer& x_;
  std::vector<Work> work_;
  std::unordered_set<uint64_t> done_;
  Threads threads_;
};

}  // namespace tenon::grammar
