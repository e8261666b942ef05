#include "text/grammar/object_plan.hpp"

#include <algorithm>

namespace tenon::grammar {

ObjectPlan::ObjectPlan(const Object& object, const std::vector<uint8_t>& productive)
    : object_(object),
      productive_(&productive),
      required_(object.properties.size() + object.rest.size()),
      possible_(object.properties.size() + object.rest.size()) {
  const size_t n = object.properties.size();
  for (size_t i = 0; i < n; ++i) {
    if (ok(object.properties[i].value)) possible_.set(i);
    if (object.properties[i].required) required_.set(i);
  }
  for (size_t i = 0; i < object.rest.size(); ++i) {
    const Object::Rest& rest = object.rest[i];
    if (rest.required) required_.set(n + i);
    if (!ok(rest.value) || rest.keys->empty()) continue;
    possible_.set(n + i);
    rest_possible_ = true;
  }
  if (!object.dependencies.empty()) close_needs();
  must_differ_ = rest_possible_ && object.min_properties > std::max<uint32_t>(1, required_.count());
  counted_ = object.max_properties != kUnbounded ? object.max_properties + 1 : object.min_properties;
}

void ObjectPlan::close_needs() {
  needs_.assign(object_.properties.size(), Bits(n_keys()));
  for (const Object::Dependency& d : object_.dependencies)
    for (uint32_t need : d.needs) needs_[d.property].set(need);
  for (bool changed = true; changed;) {
    changed = false;
    for (Bits& needs : needs_)
      for (size_t i = 0; i < needs_.size(); ++i)
        if (needs.has(i)) changed = needs.unite(needs_[i]) || changed;
  }
}

Bits ObjectPlan::missing(const Members& members) const {
  Bits wanted = required_;
  if (!needs_.empty())
    for (size_t i = 0; i < needs_.size(); ++i)
      if (members.seen.has(i) || required_.has(i)) wanted.unite(needs_[i]);
  return wanted.without(members.seen);
}

uint32_t ObjectPlan::different(const Members& members) const {
  return must_differ_ ? named(members.seen) + static_cast<uint32_t>(std::popcount(members.rest_seen)) : members.count;
}

uint32_t ObjectPlan::named(const Bits& keys) const {
  uint32_t n = 0;
  for (size_t i = 0; i < object_.properties.size(); ++i) n += keys.has(i);
  return n;
}

bool ObjectPlan::completable(const Members& members) const {
  const Bits absent = missing(members);
  if (!absent.within(possible_)) return false;
  const uint32_t have = different(members), lacking = object_.min_properties - std::min(have, object_.min_properties);
  const uint64_t more = std::max<uint64_t>(absent.count(), lacking);
  if (object_.max_properties != kUnbounded && members.count + more > object_.max_properties) return false;
  uint32_t reachable = named(possible_.without(members.seen));
  if (must_differ_) reachable += kTextClasses - static_cast<uint32_t>(std::popcount(members.rest_seen));
  return (rest_possible_ && !must_differ_) || lacking <= reachable;
}

bool ObjectPlan::closable(const Members& members) const {
  return missing(members).count() == 0 && different(members) >= object_.min_properties &&
         (object_.max_properties == kUnbounded || members.count <= object_.max_properties);
}

Members ObjectPlan::with(const Members& members, size_t key, uint32_t text_class) const {
  Members out = members;
  if (key < object_.properties.size() || object_.rest[key - object_.properties.size()].required) out.seen.set(key);
  if (key >= object_.properties.size() && must_differ_) out.rest_seen |= uint64_t{1} << text_class;
  if (out.count < counted_) ++out.count;
  return out;
}

Bits ObjectPlan::keys(const Members& members) const {
  Bits out(n_keys());
  for (size_t key = 0; key < n_keys(); ++key) {
    const bool named = key < object_.properties.size();
    if (!ok(value(key)) || (named && members.seen.has(key))) continue;
    // Texts of one class may be new or not; a further member that adds nothing must not lead into a dead end either.
    Members next = with(members, key, 0);
    if (!named) next.rest_seen = members.rest_seen;
    if (completable(next)) out.set(key);
  }
  return out;
}

NodeId ObjectPlan::value(size_t key) const {
  const size_t n = object_.properties.size();
  return key < n ? object_.properties[key].value : object_.rest[key - n].value;
}

KeyReader::KeyReader(const Object& object, bool must_differ) : must_differ_(must_differ) {
  std::vector<Dfa> names(object.properties.size());
  std::vector<const Dfa*> languages;
  for (size_t i = 0; i < names.size(); ++i) {
    if (object.properties[i].value != kNoNode) names[i] = literal(object.properties[i].name);
    languages.push_back(&names[i]);
  }
  for (const Object::Rest& rest : object.rest) languages.push_back(rest.keys.get());
  names_ = label(languages);
  find_reach(languages.size());
}

void KeyReader::find_reach(size_t n_keys) {
  const uint32_t n = names_.dfa.size();
  reach_.assign(n, Bits(n_keys));
  std::vector<std::vector<uint32_t>> before(n);
  std::vector<uint32_t> work;
  for (uint32_t s = 0; s < n; ++s) {
    std::vector<uint32_t> after;
    for (int b = 0; b < 256; ++b)
      if (const uint32_t t = names_.dfa.next(s, static_cast<uint8_t>(b)); t != Dfa::kDead) after.push_back(t);
    std::sort(after.begin(), after.end());
    after.erase(std::unique(after.begin(), after.end()), after.end());
    for (uint32_t t : after) before[t].push_back(s);
    if (names_.label[s] >= 0) reach_[s].set(static_cast<size_t>(names_.label[s])), work.push_back(s);
  }
  while (!work.empty()) {
    const uint32_t t = work.back();
    work.pop_back();
    for (uint32_t s : before[t])
      if (reach_[s].unite(reach_[t])) work.push_back(s);
  }
}

}  // namespace tenon::grammar
