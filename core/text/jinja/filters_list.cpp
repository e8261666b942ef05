// Filters on sequences and mappings.
#include <algorithm>

#include "text/jinja/builtins.hpp"
#include "text/jinja/sorting.hpp"
#include "text/unicode.hpp"

namespace tenon::jinja {

namespace {

// "a.b.0" from an item; a number is an index.
Var path(Interp& i, Var v, const Var& attribute) {
  if (attribute.is_integral()) return i.item(v, attribute);
  const std::string& text = text_of(attribute, "attribute");
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('.', at), text.size());
    const std::string part = text.substr(at, end - at);
    const bool digits = !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == std::string::npos;
    v = i.item(v, digits ? Var::integer(std::stoll(part)) : Var::string(part));
    at = end + 1;
  }
  return v;
}

Var or_default(Var v, const Var* otherwise) { return v.is_undefined() && otherwise ? *otherwise : v; }

Var folded(Interp& i, const Var& v, bool case_sensitive) {
  if (case_sensitive || !v.is_string()) return v;
  i.budget().bytes(v.text().size());
  return Var::string(unicode::to_lower(v.text()));
}

// The items with the keys to order them by.
struct Keyed {
  Var key, item;
};
std::vector<Keyed> keyed(Interp& i, const Var& v, const Var* attribute, bool case_sensitive,
                         const Var* otherwise = nullptr) {
  std::vector<Keyed> out;
  for (Var& item : i.iterate(v)) {
    const Var key = attribute && !attribute->is_none() ? or_default(path(i, item, *attribute), otherwise) : item;
    out.push_back({folded(i, key, case_sensitive), std::move(item)});
  }
  return out;
}

// Several attributes, comma-separated, order by the first that differs.
Var sort_key(Interp& i, const Var& item, const Var* attribute, bool case_sensitive) {
  if (!attribute || attribute->is_none()) return folded(i, item, case_sensitive);
  if (!attribute->is_string() || attribute->text().find(',') == std::string::npos)
    return folded(i, path(i, item, *attribute), case_sensitive);
  List keys;
  const std::string& text = attribute->text();
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    keys.push_back(folded(i, path(i, item, Var::string(text.substr(at, end - at))), case_sensitive));
    at = end + 1;
  }
  return Var::list(std::move(keys), Flavor::tuple);
}

void sort_keyed(Interp& i, std::vector<Keyed>& items, bool reverse) {
  // Equal items keep their order both ways, as Python's stable sort leaves them.
  merge_sort(items, [&](const Keyed& a, const Keyed& b) {
    return reverse ? compare(b.key, a.key, i.budget()) < 0 : compare(a.key, b.key, i.budget()) < 0;
  });
}

Var sort(Interp& i, const Var& v, Args& a) {
  const Bound b("sort", a, {"reverse", "case_sensitive", "attribute"});
  std::vector<Keyed> items;
  for (Var& item : i.iterate(v)) {
    Var key = sort_key(i, item, b.get(2), b.flag(1, false));
    items.push_back({std::move(key), std::move(item)});
  }
  sort_keyed(i, items, b.flag(0, false));
  List out;
  for (Keyed& k : items) out.push_back(std::move(k.item));
  return Var::list(std::move(out));
}

Var dict_sort(Interp& i, const Var& v, Args& a) {
  const Bound b("dictsort", a, {"case_sensitive", "by", "reverse"});
  if (!v.is(Kind::dict)) fault("dictsort() wants a mapping, not {}", type_name(v));
  const bool by_value = b.string(1, "key") == "value";
  std::vector<Keyed> items;
  for (const auto& [key, value] : v.dict_ref().items())
    items.push_back({folded(i, by_value ? value : key, b.flag(0, false)), Var::list({key, value}, Flavor::tuple)});
  sort_keyed(i, items, b.flag(2, false));
  List out;
  for (Keyed& k : items) out.push_back(std::move(k.item));
  return Var::list(std::move(out));
}

Var unique(Interp& i, const Var& v, Args& a) {
  const Bound b("unique", a, {"case_sensitive", "attribute"});
  List out;
  Dict seen;
  for (Keyed& k : keyed(i, v, b.get(1), b.flag(0, false))) {
    if (seen.find(k.key)) continue;
    seen.set(k.key, Var::none());
    out.push_back(std::move(k.item));
  }
  return Var::list(std::move(out), Flavor::generator);
}

Var group_by(Interp& i, const Var& v, Args& a) {
  const Bound b("groupby", a, {"attribute", "default", "case_sensitive"});
  std::vector<Keyed> items = keyed(i, v, &b.need(0), b.flag(2, false), b.get(1));
  sort_keyed(i, items, false);
  List out;
  for (size_t at = 0; at < items.size();) {
    List group;
    const size_t first = at;
    while (at < items.size() && equal(items[at].key, items[first].key, i.budget())) group.push_back(items[at++].item);
    const Var key = or_default(path(i, group[0], b.need(0)), b.get(1));
    out.push_back(Var::list({key, Var::list(std::move(group))}, Flavor::tuple));
  }
  return Var::list(std::move(out));
}

Var extreme(Interp& i, const Var& v, Args& a, int wanted) {
  const Bound b(wanted < 0 ? "min" : "max", a, {"case_sensitive", "attribute"});
  const std::vector<Keyed> items = keyed(i, v, b.get(1), b.flag(0, false));
  if (items.empty()) return Var::undefined("No aggregated item, sequence was empty.");
  const Keyed* best = &items[0];
  for (const Keyed& k : items)
    if (compare(k.key, best->key, i.budget()) * wanted > 0) best = &k;
  return best->item;
}

Var sum(Interp& i, const Var& v, Args& a) {
  const Bound b("sum", a, {"attribute", "start"});
  Var total = b.get(1) ? *b.get(1) : Var::integer(0);
  for (const Var& item : i.iterate(v)) total = arithmetic(i, "+", total, b.has(0) ? path(i, item, *b.get(0)) : item);
  return total;
}

Var join(Interp& i, const Var& v, Args& a) {
  const Bound b("join", a, {"d", "attribute"});
  const Var separator = b.get(0) ? *b.get(0) : Var::trusted("");
  MarkedText out;
  bool first = true;
  for (const Var& item : i.iterate(v)) {
    if (!first) append_text(out, separator, i.budget());
    first = false;
    append_text(out, b.has(1) ? path(i, item, *b.get(1)) : item, i.budget());
    i.budget().output(out.text.size());
  }
  i.budget().bytes(out.text.size());
  return Var::string(std::move(out));
}

Var length(Interp& i, const Var& v, Args&) {
  switch (v.kind()) {
    case Kind::undefined:
      return Var::integer(0);
    case Kind::string:
      i.budget().step(v.text().size() / 64);
      return Var::integer(static_cast<int64_t>(unicode::length(v.text())));
    case Kind::sequence:
      return Var::integer(static_cast<int64_t>(v.sequence().items.size()));
    case Kind::dict:
      return Var::integer(static_cast<int64_t>(v.dict_ref().size()));
    default:
      fault("object of type '{}' has no len()", type_name(v));
  }
}

Var first(Interp& i, const Var& v, Args&) {
  List items = i.iterate(v);
  return items.empty() ? Var::undefined("No first item, sequence was empty.") : items.front();
}

Var last(Interp& i, const Var& v, Args&) {
  List items = i.iterate(v);
  return items.empty() ? Var::undefined("No last item, sequence was empty.") : items.back();
}

Var reverse(Interp& i, const Var& v, Args&) {
  List items = i.iterate(v);
  std::reverse(items.begin(), items.end());
  if (!v.is_string()) return Var::list(std::move(items), Flavor::generator);
  std::string out;
  for (const Var& c : items) out += c.text();
  return Var::string(std::move(out));
}

Var items_of(Interp& i, const Var& v, Args&) {
  if (v.is_undefined()) return Var::list({}, Flavor::generator);
  if (!v.is(Kind::dict)) fault("Can only get item pairs from a mapping.");
  List out;
  i.budget().step(v.dict_ref().size());
  for (const auto& [key, value] : v.dict_ref().items()) out.push_back(Var::list({key, value}, Flavor::tuple));
  return Var::list(std::move(out), Flavor::generator);
}

Var batch(Interp& i, const Var& v, Args& a) {
  const Bound b("batch", a, {"linecount", "fill_with"});
  const int64_t n = integer_of(b.need(0), "batch() size");
  if (n < 1 || n > 100'000) fault("batch() of {} items", n);
  List out, row;
  for (Var& item : i.iterate(v)) {
    row.push_back(std::move(item));
    if (static_cast<int64_t>(row.size()) == n) out.push_back(Var::list(std::exchange(row, {})));
  }
  if (!row.empty()) {
    if (b.has(1)) row.resize(static_cast<size_t>(n), *b.get(1));
    out.push_back(Var::list(std::move(row)));
  }
  return Var::list(std::move(out), Flavor::generator);
}

Var slices(Interp& i, const Var& v, Args& a) {
  const Bound b("slice", a, {"slices", "fill_with"});
  const List items = i.iterate(v);
  const int64_t wanted = integer_of(b.need(0), "slice() count");
  if (wanted < 1 || wanted > 100'000) fault("slice() into {} parts", wanted);
  const size_t n = static_cast<size_t>(wanted), each = items.size() / n, longer = items.size() % n;
  i.budget().step(n);
  List out;
  for (size_t k = 0, at = 0; k < n; ++k) {
    List part;
    for (size_t j = 0; j < each + (k < longer ? 1 : 0); ++j) part.push_back(items[at++]);
    if (b.has(1) && k >= longer) part.push_back(*b.get(1));
    out.push_back(Var::list(std::move(part)));
  }
  return Var::list(std::move(out), Flavor::generator);
}

Var map(Interp& i, const Var& v, Args& a) {
  List out;
  if (!truthy(v)) return Var::list({}, Flavor::generator);
  if (a.positional.empty()) {
    const Bound b("map", a, {"attribute", "default"});
    for (const Var& item : i.iterate(v)) out.push_back(or_default(path(i, item, b.need(0)), b.get(1)));
    return Var::list(std::move(out), Flavor::generator);
  }
  const std::string name = text_of(a.positional[0], "the name of a filter");
  Args rest;
  rest.positional.assign(a.positional.begin() + 1, a.positional.end());
  rest.named = a.named;
  for (const Var& item : i.iterate(v)) {
    Args each = rest;
    out.push_back(i.filter(name, item, each));
  }
  return Var::list(std::move(out), Flavor::generator);
}

// select, reject, selectattr, rejectattr: [attribute,] [test, arguments...].
Var choose(Interp& i, const Var& v, Args& a, bool keep, bool by_attribute) {
  if (!truthy(v)) return Var::list({}, Flavor::generator);  // also where the value could not be iterated
  size_t used = 0;
  Var attribute;
  if (by_attribute) {
    if (a.positional.empty()) fault("Missing parameter for attribute name");
    attribute = a.positional[used++];
  }
  std::string name;
  if (used < a.positional.size()) name = text_of(a.positional[used++], "the name of a test");
  Args rest;
  rest.positional.assign(a.positional.begin() + static_cast<ptrdiff_t>(used), a.positional.end());
  List out;
  for (Var& item : i.iterate(v)) {
    const Var subject = by_attribute ? path(i, item, attribute) : item;
    const bool holds = name.empty() ? truthy(subject) : i.test(name, subject, rest);
    if (holds == keep) out.push_back(std::move(item));
  }
  return Var::list(std::move(out), Flavor::generator);
}

struct Entry {
  const char* name;
  Builtin filter;
};

constexpr Entry kFilters[] = {
    {"list", [](Interp& i, const Var& v, Args&) { return Var::list(i.iterate(v)); }},
    {"length", length},
    {"count", length},
    {"first", first},
    {"last", last},
    {"join", join},
    {"map", map},
    {"items", items_of},
    {"sort", sort},
    {"dictsort", dict_sort},
    {"unique", unique},
    {"reverse", reverse},
    {"sum", sum},
    {"min", [](Interp& i, const Var& v, Args& a) { return extreme(i, v, a, -1); }},
    {"max", [](Interp& i, const Var& v, Args& a) { return extreme(i, v, a, 1); }},
    {"groupby", group_by},
    {"batch", batch},
    {"slice", slices},
    {"select", [](Interp& i, const Var& v, Args& a) { return choose(i, v, a, true, false); }},
    {"reject", [](Interp& i, const Var& v, Args& a) { return choose(i, v, a, false, false); }},
    {"selectattr", [](Interp& i, const Var& v, Args& a) { return choose(i, v, a, true, true); }},
    {"rejectattr", [](Interp& i, const Var& v, Args& a) { return choose(i, v, a, false, true); }},
    {"attr",
     [](Interp& i, const Var& v, Args& a) {
       const Bound b("attr", a, {"name"});
       const std::string& name = text_of(b.need(0), "attr() name");
       return v.is(Kind::dict) && !find_method(v, name) ? Var::undefined("no attribute " + name) : i.attribute(v, name);
     }},
};

}  // namespace

Builtin find_list_filter(std::string_view name) {
  for (const Entry& e : kFilters)
    if (name == e.name) return e.filter;
  return nullptr;
}

}  // namespace tenon::jinja
