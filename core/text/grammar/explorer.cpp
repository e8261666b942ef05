#include "text/grammar/explorer.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "text/grammar/closure.hpp"
#include "text/grammar/json_string.hpp"

namespace tenon::grammar {
namespace {

constexpr size_t kMaxNodes = 1u << 20, kMaxWhitespace = 1u << 9, kMaxKeys = 1u << 20;

uint64_t mixed(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15ull;
  return hash ^ hash >> 29;
}

}  // namespace

size_t FrameHash::operator()(const Frame& f) const { return mixed(mixed(mixed(f.node, f.parent), f.place), f.text); }

size_t ThreadsHash::operator()(const Threads& threads) const {
  uint64_t hash = threads.size();
  for (FrameId id : threads) hash = mixed(hash, id);
  return hash;
}

ObjectTable::ObjectTable(const Object& object, const std::vector<uint8_t>& productive)
    : plan(object, productive), reader(object, plan.must_differ()) {}

uint32_t ObjectTable::number(const Members& members) {
  std::vector<uint64_t> key = members.seen.words();
  key.push_back(members.count);
  key.push_back(members.rest_seen);
  const auto [it, added] = numbers_.try_emplace(std::move(key), static_cast<uint32_t>(entries.size()));
  if (added) {
    Bits keys = plan.keys(members);
    const bool any = keys.count() > 0;
    entries.push_back({members, std::move(keys), any, plan.closable(members)});
  }
  return it->second;
}

Explorer::Explorer(Grammar grammar) : grammar_(std::move(grammar)) {
  if (grammar_.nodes.size() > kMaxNodes)
    fail(ErrorCode::capacity, "[grammar] {} nodes, more than {}", grammar_.nodes.size(), kMaxNodes);
  if (!grammar_.whitespace) grammar_.whitespace = std::make_shared<Dfa>(literal(""));
  if (grammar_.whitespace->size() >= kMaxWhitespace)
    fail(ErrorCode::capacity, "[grammar] white space of {} states, more than {}", grammar_.whitespace->size(),
         kMaxWhitespace);
  analysis_ = analyse(grammar_);
  for (NodeId id = 0; id < grammar_.nodes.size(); ++id) {
    const Node& node = grammar_.nodes[id];
    if (!analysis_.productive[id]) continue;
    if (const auto* bytes = std::get_if<Bytes>(&node)) prepare(bytes->language.get());
    if (const auto* array = std::get_if<Array>(&node)) arrays_.try_emplace(id, *array, analysis_.productive);
    if (const auto* object = std::get_if<Object>(&node)) {
      if (object->properties.size() + object->rest.size() > kMaxKeys)
        fail(ErrorCode::capacity, "[grammar] an object of {} keys", object->properties.size());
      objects_[id] = std::make_unique<ObjectTable>(*object, analysis_.productive);
    }
    if (const auto* string = std::get_if<JsonString>(&node); string && string->min_length > kMaxTextLength)
      fail(ErrorCode::capacity, "[grammar] a text of {} characters, more than {}", string->min_length, kMaxTextLength);
  }
}

void Explorer::prepare(const Dfa* dfa) {
  std::vector<uint8_t>& goes_on = goes_on_[dfa];
  if (!goes_on.empty()) return;
  goes_on.assign(dfa->size(), 0);
  for (uint32_t s = 0; s < dfa->size(); ++s)
    for (int b = 0; b < 256 && !goes_on[s]; ++b) goes_on[s] = dfa->next(s, static_cast<uint8_t>(b)) != Dfa::kDead;
}

uint32_t Explorer::number(Threads& threads) {
  if (threads.empty()) return UINT32_MAX;
  return sets_(threads);
}

uint32_t Explorer::start() {
  Closure closure(*this);
  closure.enter(grammar_.root, kBottom);
  Threads threads = closure.take();
  return number(threads);
}

uint32_t Explorer::step(uint32_t set, uint8_t byte) {
  Closure closure(*this);
  for (FrameId id : sets_[set])
    if (id != kBottom) closure.step(id, byte);
  Threads threads = closure.take();
  return number(threads);
}

uint32_t Explorer::byte_classes(uint8_t (&class_of)[256]) const {
  std::fill(class_of, class_of + 256, uint8_t{0});
  uint32_t n = 1;
  const auto refine = [&](auto other) {
    std::map<std::pair<uint8_t, uint32_t>, uint8_t> classes;
    for (int b = 0; b < 256; ++b) {
      const std::pair<uint8_t, uint32_t> both{class_of[b], other(static_cast<uint8_t>(b))};
      class_of[b] = classes.try_emplace(both, static_cast<uint8_t>(classes.size())).first->second;
    }
    n = static_cast<uint32_t>(classes.size());
  };
  const auto refine_by = [&](const Dfa& dfa) { refine([&](uint8_t b) { return dfa.class_of(b); }); };
  refine_by(*grammar_.whitespace);
  std::vector<const Dfa*> done;
  bool json = false;
  for (const Node& node : grammar_.nodes) {
    const auto* bytes = std::get_if<Bytes>(&node);
    const auto* string = std::get_if<JsonString>(&node);
    if (const Dfa* dfa = bytes ? bytes->language.get() : string ? string->content.get() : nullptr; dfa)
      done.push_back(dfa);
    json = json || string || std::holds_alternative<Array>(node) || std::holds_alternative<Object>(node);
  }
  std::sort(done.begin(), done.end());
  done.erase(std::unique(done.begin(), done.end()), done.end());
  for (const Dfa* dfa : done)
    if (n < 256) refine_by(*dfa);
  for (const auto& [id, table] : objects_)
    if (n < 256) refine_by(table->reader.dfa());
  static constexpr std::string_view kTold = "\"\\/bfnrtu0123456789abcdefABCDEF[]{},:";
  if (json)
    refine([&](uint8_t b) {
      const size_t at = kTold.find(static_cast<char>(b));
      return at != std::string_view::npos ? static_cast<uint32_t>(at) + 3
             : b < 0x20                   ? 0u
             : (b & 0xC0) == 0x80         ? 1u
                                          : 2u;
    });
  return n;
}

}  // namespace tenon::grammar
