// Methods of lists, tuples and dicts. Those that change a container tell the interpreter, which breaks cycles at the
// end.
#include <algorithm>

#include "text/jinja/builtins.hpp"

namespace tenon::jinja {

namespace {

Var get(Interp&, const Var& self, Args& a) {
  const Bound b("get", a, {"key", "default"});
  if (const Var* found = self.dict_ref().find(b.need(0))) return *found;
  return b.get(1) ? *b.get(1) : Var::none();
}

Var members(Interp& i, const Var& self, Flavor flavor) {
  List out;
  i.budget().step(self.dict_ref().size());
  i.budget().bytes(self.dict_ref().size() * sizeof(Var));
  for (const auto& [key, value] : self.dict_ref().items())
    out.push_back(flavor == Flavor::keys     ? key
                  : flavor == Flavor::values ? value
                                             : Var::list({key, value}, Flavor::tuple));
  return Var::list(std::move(out), flavor);
}

Var update(Interp& i, const Var& self, Args& a) {
  i.changed(self);
  if (!a.positional.empty()) {
    const Var& from = a.positional[0];
    if (!from.is(Kind::dict)) fault("update() wants a mapping, not {}", type_name(from));
    const Var copy = members(i, from, Flavor::items);
    for (const Var& pair : copy.sequence().items)
      self.dict_ref().set(pair.sequence().items[0], pair.sequence().items[1]);
  }
  for (const auto& [name, value] : a.named) self.dict_ref().set(Var::string(name), value);
  return Var::none();
}

Var set_default(Interp& i, const Var& self, Args& a) {
  const Bound b("setdefault", a, {"key", "default"});
  if (const Var* found = self.dict_ref().find(b.need(0))) return *found;
  i.changed(self);
  const Var value = b.get(1) ? *b.get(1) : Var::none();
  self.dict_ref().set(b.need(0), value);
  return value;
}

Var pop_key(Interp& i, const Var& self, Args& a) {
  const Bound b("pop", a, {"key", "default"});
  i.budget().step(self.dict_ref().size());
  if (auto taken = self.dict_ref().take(b.need(0))) return *taken;
  if (!b.get(1)) fault("KeyError: {}", to_repr(b.need(0), i.budget()));
  return *b.get(1);
}

Var copy_dict(Interp& i, const Var& self, Args&) {
  Var out = Var::dict();
  i.budget().step(self.dict_ref().size());
  i.budget().bytes(self.dict_ref().size() * sizeof(Var) * 2);
  for (const auto& [key, value] : self.dict_ref().items()) out.dict_ref().set(key, value);
  return out;
}

size_t index_of(const Var& self, const Var& at, bool clamp) {
  const auto n = static_cast<int64_t>(self.sequence().items.size());
  int64_t i = integer_of(at, "list index");
  if (i < 0) i += n;
  if (clamp) i = std::clamp<int64_t>(i, 0, n);
  if (i < 0 || i > n - (clamp ? 0 : 1)) fault("list index out of range");
  return static_cast<size_t>(i);
}

Var append(Interp& i, const Var& self, Args& a) {
  const Bound b("append", a, {"item"});
  i.changed(self);
  i.budget().bytes(sizeof(Var));
  self.sequence().items.push_back(b.need(0));
  return Var::none();
}

Var extend(Interp& i, const Var& self, Args& a) {
  const Bound b("extend", a, {"iterable"});
  i.changed(self);
  for (Var& v : i.iterate(b.need(0))) self.sequence().items.push_back(std::move(v));
  return Var::none();
}

Var insert(Interp& i, const Var& self, Args& a) {
  const Bound b("insert", a, {"index", "item"});
  i.changed(self);
  i.budget().step(self.sequence().items.size());
  const size_t at = index_of(self, b.need(0), true);
  self.sequence().items.insert(self.sequence().items.begin() + static_cast<ptrdiff_t>(at), b.need(1));
  return Var::none();
}

Var pop_item(Interp& i, const Var& self, Args& a) {
  const Bound b("pop", a, {"index"});
  List& items = self.sequence().items;
  if (items.empty()) fault("pop from empty list");
  const size_t at = b.has(0) ? index_of(self, *b.get(0), false) : items.size() - 1;
  i.budget().step(items.size() - at);
  Var out = items[at];
  items.erase(items.begin() + static_cast<ptrdiff_t>(at));
  return out;
}

Var position(Interp& i, const Var& self, Args& a) {
  const Bound b("index", a, {"item"});
  const List items = i.iterate(self);
  for (size_t k = 0; k < items.size(); ++k)
    if (equal(items[k], b.need(0), i.budget())) return Var::integer(static_cast<int64_t>(k));
  fault("{} is not in list", to_repr(b.need(0), i.budget()));
}

Var remove(Interp& i, const Var& self, Args& a) {
  const Var at = position(i, self, a);
  List& items = self.sequence().items;
  items.erase(items.begin() + static_cast<ptrdiff_t>(at.as_int()));
  return Var::none();
}

Var count(Interp& i, const Var& self, Args& a) {
  const Bound b("count", a, {"item"});
  int64_t n = 0;
  for (const Var& v : i.iterate(self)) n += equal(v, b.need(0), i.budget()) ? 1 : 0;
  return Var::integer(n);
}

Var reverse(Interp& i, const Var& self, Args&) {
  i.budget().step(self.sequence().items.size());
  std::reverse(self.sequence().items.begin(), self.sequence().items.end());
  return Var::none();
}

Var sort(Interp& i, const Var& self, Args& a) {
  const Bound b("sort", a, {"reverse"});
  a.named.emplace_back("case_sensitive", Var::boolean(true));
  const Var sorted = find_filter("sort")(i, self, a);
  self.sequence().items = sorted.sequence().items;
  return Var::none();
}

struct Entry {
  const char* name;
  Builtin method;
};

constexpr Entry kDict[] = {
    {"get", get},
    {"items", [](Interp& i, const Var& v, Args&) { return members(i, v, Flavor::items); }},
    {"keys", [](Interp& i, const Var& v, Args&) { return members(i, v, Flavor::keys); }},
    {"values", [](Interp& i, const Var& v, Args&) { return members(i, v, Flavor::values); }},
    {"update", update},
    {"setdefault", set_default},
    {"pop", pop_key},
    {"copy", copy_dict},
    {"clear",
     [](Interp&, const Var& v, Args&) {
       v.dict_ref().clear();
       return Var::none();
     }},
};

constexpr Entry kList[] = {
    {"append", append},
    {"extend", extend},
    {"insert", insert},
    {"pop", pop_item},
    {"remove", remove},
    {"reverse", reverse},
    {"sort", sort},
    {"copy", [](Interp& i, const Var& v, Args&) { return Var::list(i.iterate(v)); }},
    {"clear",
     [](Interp&, const Var& v, Args&) {
       v.sequence().items.clear();
       return Var::none();
     }},
};

constexpr Entry kTuple[] = {{"index", position}, {"count", count}};

template <size_t N>
Builtin find_in(const Entry (&table)[N], std::string_view name) {
  for (const Entry& e : table)
    if (name == e.name) return e.method;
  return nullptr;
}

}  // namespace

Builtin find_method(const Var& self, std::string_view name) {
  if (self.is_string()) return find_text_method(name);
  if (self.is(Kind::dict)) return find_in(kDict, name);
  if (!self.is(Kind::sequence)) return nullptr;
  if (self.is_list(Flavor::list))
    if (const Builtin m = find_in(kList, name)) return m;
  const bool indexed = self.is_list(Flavor::list) || self.is_list(Flavor::tuple) || self.is_list(Flavor::range);
  return indexed ? find_in(kTuple, name) : nullptr;
}

}  // namespace tenon::jinja
