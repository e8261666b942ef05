#include "text/grammar/closure.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "text/grammar/json_string.hpp"

namespace tenon::grammar {
namespace {

constexpr size_t kMaxThreads = 4096, kMaxWork = 1u << 20;
constexpr uint32_t kMaxFrames = 1u << 22;
constexpr uint64_t kUnopened = 15;  // a phase that TextPlace does not have

enum class Phase : uint64_t {
  unopened,
  first,   // behind the opening bracket
  next,    // behind an item or a member
  wanted,  // behind a comma
  key,     // within a key
  colon,   // behind a key
  value,   // behind a colon
  inside   // a node above reads
};

struct ArrayPlace {
  uint64_t phase : 3, whitespace : 9, index : 28, matching : 24;
};
struct ObjectPlace {
  uint64_t phase : 3, whitespace : 9, members : 32, key : 20;
};

template <class Place>
Place place_of(const Frame& frame) {
  return std::bit_cast<Place>(frame.place);
}

template <class Place>
Frame moved(Frame frame, Place place, uint64_t text = 0) {
  frame.place = std::bit_cast<uint64_t>(place);
  frame.text = text;
  return frame;
}

uint64_t bits(Phase phase) { return static_cast<uint64_t>(phase); }

TextLimits limits_of(const JsonString& s) {
  return {s.min_length, std::min(s.max_length, kMaxTextLength), s.min_length > 0 || s.max_length != kUnbounded};
}

}  // namespace

void Closure::wait(const Frame& frame) { threads_.push_back(open(frame)); }

FrameId Closure::open(const Frame& frame) {
  if (x_.frames_.size() >= kMaxFrames) fail(ErrorCode::capacity, "[grammar] more than {} places", kMaxFrames);
  return x_.frames_(frame);
}

void Closure::enter(NodeId node, FrameId parent) {
  if (node != kNoNode && x_.analysis_.productive[node]) work_.push_back({node, parent});
}

Threads Closure::take() {
  while (!work_.empty()) {
    const Work work = work_.back();
    work_.pop_back();
    if (done_.insert(uint64_t{work.node} << 32 | work.parent).second) run(work);
    if (done_.size() > kMaxWork) fail(ErrorCode::capacity, "[grammar] more than {} steps behind one byte", kMaxWork);
  }
  std::sort(threads_.begin(), threads_.end());
  threads_.erase(std::unique(threads_.begin(), threads_.end()), threads_.end());
  if (threads_.size() > kMaxThreads)
    fail(ErrorCode::capacity, "[grammar] {} ways to read the same text, more than {}", threads_.size(), kMaxThreads);
  return std::move(threads_);
}

void Closure::run(const Work& work) {
  if (work.node != kNoNode) return begin(work.node, work.parent);
  if (work.parent == kBottom) return threads_.push_back(kBottom);
  resume(x_.frames_[work.parent]);
}

void Closure::begin(NodeId id, FrameId parent) {
  const Node& node = x_.grammar_.nodes[id];
  if (const auto* bytes = std::get_if<Bytes>(&node)) {
    const uint32_t start = bytes->language->start();
    if (bytes->language->accepts(start)) finish(parent);
    if (x_.goes_on(*bytes->language, start)) wait({id, parent, start});
  } else if (const auto* string = std::get_if<JsonString>(&node)) {
    TextPlace place = TextPlace::at(string->content->start());
    place.phase = kUnopened;
    wait({id, parent, place.bits()});
  } else if (const auto* sequence = std::get_if<Sequence>(&node)) {
    run_sequence(*sequence, id, 0, parent);
  } else if (const auto* choice = std::get_if<Choice>(&node)) {
    for (NodeId option : choice->options) enter(option, parent);
  } else if (const auto* repeat = std::get_if<Repeat>(&node)) {
    run_repeat(*repeat, id, 0, parent);
  } else {
    wait({id, parent});  // an array or object, unopened
  }
}

void Closure::resume(const Frame& frame) {
  const Node& node = x_.grammar_.nodes[frame.node];
  if (const auto* sequence = std::get_if<Sequence>(&node)) {
    run_sequence(*sequence, frame.node, frame.place, frame.parent);
  } else if (const auto* repeat = std::get_if<Repeat>(&node)) {
    run_repeat(*repeat, frame.node, frame.place, frame.parent);
  } else if (std::holds_alternative<Array>(node)) {
    auto place = place_of<ArrayPlace>(frame);
    place.phase = bits(Phase::next);
    array_gap(moved(frame, place));
  } else {
    auto place = place_of<ObjectPlace>(frame);
    place.phase = bits(Phase::next);
    object_gap(moved(frame, place));
  }
}

// The last item ends where the sequence ends: nothing has to be kept for it, and recursion at the end costs no stack.
void Closure::run_sequence(const Sequence& node, NodeId id, uint64_t at, FrameId parent) {
  if (at == node.items.size()) return finish(parent);
  enter(node.items[at], at + 1 == node.items.size() ? parent : open({id, parent, at + 1}));
}

void Closure::run_repeat(const Repeat& node, NodeId id, uint64_t count, FrameId parent) {
  if (count >= node.min) finish(parent);
  if (count >= node.max || node.item == kNoNode || !x_.analysis_.productive[node.item]) return;
  const uint64_t next = node.max == kUnbounded ? std::min<uint64_t>(count + 1, node.min) : count + 1;
  enter(node.item, next == node.max ? parent : open({id, parent, next}));
}

void Closure::step(FrameId id, uint8_t byte) {
  const Frame frame = x_.frames_[id];
  const Node& node = x_.grammar_.nodes[frame.node];
  if (const auto* bytes = std::get_if<Bytes>(&node))
    read_bytes(*bytes, frame, byte);
  else if (const auto* string = std::get_if<JsonString>(&node))
    read_string(*string, frame, byte);
  else if (std::holds_alternative<Array>(node))
    read_array(frame, byte);
  else
    read_object(frame, byte);
}

void Closure::read_bytes(const Bytes& node, const Frame& frame, uint8_t byte) {
  const uint32_t next = node.language->next(static_cast<uint32_t>(frame.place), byte);
  if (next == Dfa::kDead) return;
  if (node.language->accepts(next)) finish(frame.parent);
  if (x_.goes_on(*node.language, next)) wait(moved(frame, uint64_t{next}));
}

void Closure::read_string(const JsonString& node, const Frame& frame, uint8_t byte) {
  TextPlace place = TextPlace::of(frame.place);
  if (place.phase == kUnopened) {
    if (byte == '"') wait(moved(frame, TextPlace::at(static_cast<uint32_t>(place.state))));
    return;
  }
  const DfaContent content{*node.content};
  const TextStep step = TextReader(content, limits_of(node)).step(place, byte);
  if (step == TextStep::closed) finish(frame.parent);
  if (step == TextStep::inside) wait(moved(frame, place));
}

bool Closure::blank(uint32_t& whitespace, uint8_t byte) const {
  const uint32_t next = x_.grammar_.whitespace->next(whitespace, byte);
  if (next == Dfa::kDead) return false;
  whitespace = next;
  return true;
}

void Closure::array_gap(Frame frame) {
  const auto place = place_of<ArrayPlace>(frame);
  const ArrayPlan& plan = x_.arrays_.at(frame.node);
  wait(frame);
  if (place.phase == bits(Phase::next) || !after_blank(place.whitespace)) return;
  if (plan.distinct()) return array_distinct(frame);
  const Array::Item item = plan.item(place.index, place.matching);
  ArrayPlace inside = place;
  inside.phase = bits(Phase::inside);
  inside.whitespace = 0;
  inside.index = std::min<uint64_t>(place.index + 1, plan.counted_index());
  if (item.other != kNoNode) enter(item.other, open(moved(frame, inside)));
  inside.matching = std::min<uint64_t>(place.matching + 1, plan.counted_matching());
  if (item.matching != kNoNode) enter(item.matching, open(moved(frame, inside)));
}

void Closure::array_distinct(const Frame& frame) {
  const auto place = place_of<ArrayPlace>(frame);
  const ArrayPlan& plan = x_.arrays_.at(frame.node);
  const auto& items = std::get<Array>(x_.grammar_.nodes[frame.node]).distinct;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!plan.may_follow(place.index, place.matching, i)) continue;
    ArrayPlace inside = place;
    inside.phase = bits(Phase::inside);
    inside.whitespace = 0;
    inside.index = place.index + 1u;
    inside.matching = place.matching | 1u << i;
    enter(items[i], open(moved(frame, inside)));
  }
}

bool Closure::may_go_on(const Frame& frame) const {
  const auto place = place_of<ArrayPlace>(frame);
  const ArrayPlan& plan = x_.arrays_.at(frame.node);
  if (!plan.distinct()) {
    const Array::Item item = plan.item(place.index, place.matching);
    return item.other != kNoNode || item.matching != kNoNode;
  }
  for (size_t i = 0; i < std::get<Array>(x_.grammar_.nodes[frame.node]).distinct.size(); ++i)
    if (plan.may_follow(place.index, place.matching, i)) return true;
  return false;
}

void Closure::read_array(const Frame& frame, uint8_t byte) {
  auto place = place_of<ArrayPlace>(frame);
  const auto phase = static_cast<Phase>(place.phase);
  const ArrayPlan& plan = x_.arrays_.at(frame.node);
  uint32_t whitespace = place.whitespace;
  if (phase == Phase::unopened) {
    place.phase = bits(Phase::first);
    if (byte == '[') array_gap(moved(frame, place));
  } else if (blank(whitespace, byte)) {
    place.whitespace = whitespace;
    array_gap(moved(frame, place));
  } else if (!after_blank(whitespace) || phase == Phase::wanted) {
    return;
  } else if (byte == ']') {
    if (plan.closable(place.index, place.matching)) finish(frame.parent);
  } else if (byte == ',' && phase == Phase::next) {
    if (!may_go_on(frame)) return;
    place.phase = bits(Phase::wanted);
    place.whitespace = 0;
    array_gap(moved(frame, place));
  }
}

void Closure::object_gap(Frame frame) {
  const auto place = place_of<ObjectPlace>(frame);
  wait(frame);
  if (place.phase != bits(Phase::value) || !after_blank(place.whitespace)) return;
  ObjectPlace inside = place;
  inside.phase = bits(Phase::inside);
  inside.whitespace = inside.key = 0;
  enter(x_.objects_.at(frame.node)->plan.value(place.key), open(moved(frame, inside)));
}

void Closure::read_object(const Frame& frame, uint8_t byte) {
  auto place = place_of<ObjectPlace>(frame);
  const auto phase = static_cast<Phase>(place.phase);
  ObjectTable& table = *x_.objects_.at(frame.node);
  if (phase == Phase::key) return read_key(table, frame, byte);
  const auto go = [&](Phase next, uint32_t whitespace) {
    place.phase = bits(next);
    place.whitespace = whitespace;
    object_gap(moved(frame, place));
  };
  uint32_t whitespace = place.whitespace;
  if (phase == Phase::unopened) {
    place.members = table.number(table.plan.none());
    if (byte == '{') go(Phase::first, 0);
    return;
  }
  if (blank(whitespace, byte)) return go(phase, whitespace);
  if (!after_blank(whitespace)) return;
  const ObjectTable::Entry& entry = table.entries[place.members];
  if (byte == ':') {
    if (phase == Phase::colon) go(Phase::value, 0);
  } else if (byte == '}') {
    if ((phase == Phase::first || phase == Phase::next) && entry.closable) finish(frame.parent);
  } else if (byte == ',') {
    if (phase == Phase::next && entry.any_key) go(Phase::wanted, 0);
  } else if (byte == '"' && (phase == Phase::first || phase == Phase::wanted) && entry.any_key) {
    place.phase = bits(Phase::key);
    place.whitespace = 0;
    wait(moved(frame, place, TextPlace::at(table.reader.start()).bits()));
  }
}

void Closure::read_key(ObjectTable& table, const Frame& frame, uint8_t byte) {
  auto place = place_of<ObjectPlace>(frame);
  TextPlace text = TextPlace::of(frame.text);
  const KeyReader::Content content{table.reader, table.entries[place.members].keys};
  const TextStep step = TextReader(content, {}).step(text, byte);
  if (step == TextStep::inside) wait(moved(frame, place, text.bits()));
  if (step != TextStep::closed) return;
  const auto state = static_cast<uint32_t>(text.state);
  place.key = static_cast<uint64_t>(table.reader.key(state));
  place.members =
      table.number(table.plan.with(table.entries[place.members].members, place.key, table.reader.text_class(state)));
  place.phase = bits(Phase::colon);
  object_gap(moved(frame, place));
}

}  // namespace tenon::grammar
