// The tests behind `is`.
#include <algorithm>

#include "text/jinja/builtins.hpp"
#include "text/unicode.hpp"

namespace tenon::jinja {

namespace {

const Var& other(Args& args, const char* name) {
  if (args.positional.size() != 1) fault("test '{}' takes one argument", name);
  return args.positional[0];
}

bool cased(const Var& v, bool (*wanted)(int32_t), bool (*refused)(int32_t)) {
  if (!v.is_string()) return false;
  bool any = false;
  for (size_t at = 0; at < v.text().size();) {
    const unicode::Decoded d = unicode::decode(v.text(), at);
    if (d.code >= 0 && refused(d.code)) return false;
    any = any || (d.code >= 0 && wanted(d.code));
    at += d.length;
  }
  return any;
}

bool iterable(const Var& v) {
  return v.is_undefined() || v.is_string() || v.is(Kind::sequence) || v.is(Kind::dict) || v.is(Kind::loop);
}

bool parity(const Var& v, Int wanted) {
  if (!v.is_integral()) fault("an integer is required, not {}", type_name(v));
  return (v.as_int() % 2 + 2) % 2 == wanted;
}

struct Entry {
  const char* name;
  Test test;
};

constexpr Entry kTests[] = {
    {"defined", [](Interp&, const Var& v, Args&) { return !v.is_undefined(); }},
    {"undefined", [](Interp&, const Var& v, Args&) { return v.is_undefined(); }},
    {"none", [](Interp&, const Var& v, Args&) { return v.is_none(); }},
    {"string", [](Interp&, const Var& v, Args&) { return v.is_string(); }},
    {"number", [](Interp&, const Var& v, Args&) { return v.is_number(); }},
    {"integer", [](Interp&, const Var& v, Args&) { return v.is(Kind::integer); }},
    {"float", [](Interp&, const Var& v, Args&) { return v.is(Kind::real); }},
    {"boolean", [](Interp&, const Var& v, Args&) { return v.is(Kind::boolean); }},
    {"true", [](Interp&, const Var& v, Args&) { return v.is(Kind::boolean) && v.as_bool(); }},
    {"false", [](Interp&, const Var& v, Args&) { return v.is(Kind::boolean) && !v.as_bool(); }},
    {"mapping", [](Interp&, const Var& v, Args&) { return v.is(Kind::dict); }},
    {"iterable", [](Interp&, const Var& v, Args&) { return iterable(v); }},
    {"sequence",
     [](Interp&, const Var& v, Args&) {
       return v.is_undefined() || v.is_string() || v.is(Kind::dict) ||
              (v.is(Kind::sequence) && !v.is_list(Flavor::generator));
     }},
    {"callable", [](Interp&, const Var& v, Args&) { return v.is(Kind::callable) || v.is(Kind::loop); }},
    {"odd", [](Interp&, const Var& v, Args&) { return parity(v, 1); }},
    {"even", [](Interp&, const Var& v, Args&) { return parity(v, 0); }},
    {"divisibleby",
     [](Interp& i, const Var& v, Args& a) { return !truthy(arithmetic(i, "%", v, other(a, "divisibleby"))); }},
    {"lower", [](Interp&, const Var& v, Args&) { return cased(v, unicode::is_lower, unicode::is_upper); }},
    {"upper", [](Interp&, const Var& v, Args&) { return cased(v, unicode::is_upper, unicode::is_lower); }},
    {"eq", [](Interp& i, const Var& v, Args& a) { return equal(v, other(a, "eq"), i.budget()); }},
    {"equalto", [](Interp& i, const Var& v, Args& a) { return equal(v, other(a, "equalto"), i.budget()); }},
    {"==", [](Interp& i, const Var& v, Args& a) { return equal(v, other(a, "=="), i.budget()); }},
    {"ne", [](Interp& i, const Var& v, Args& a) { return !equal(v, other(a, "ne"), i.budget()); }},
    {"!=", [](Interp& i, const Var& v, Args& a) { return !equal(v, other(a, "!="), i.budget()); }},
    {"lt", [](Interp& i, const Var& v, Args& a) { return compare(v, other(a, "lt"), i.budget()) < 0; }},
    {"lessthan", [](Interp& i, const Var& v, Args& a) { return compare(v, other(a, "lessthan"), i.budget()) < 0; }},
    {"<", [](Interp& i, const Var& v, Args& a) { return compare(v, other(a, "<"), i.budget()) < 0; }},
    {"le", [](Interp& i, const Var& v, Args& a) { return compare(v, other(a, "le"), i.budget()) <= 0; }},
    {"<=", [](Interp& i, const Var& v, Args& a) { return compare(v, other(a, "<="), i.budget()) <= 0; }},
    {"gt", [](Interp& i, const Var& v, Args& a) { return compare(v, other(a, "gt"), i.budget()) > 0; }},
    {"greaterthan",
     [](Interp& i, const Var& v, Args& a) { return compare(v, other(a, "greaterthan"), i.budget()) > 0; }},
    {">", [](Interp& i, const Var& v, Args& a) { return compare(v, other(a, ">"), i.budget()) > 0; }},
    {"ge", [](Interp& i, const Var& v, Args& a) { return compare(v, other(a, "ge"), i.budget()) >= 0; }},
    {">=", [](Interp& i, const Var& v, Args& a) { return compare(v, other(a, ">="), i.budget()) >= 0; }},
    {"in",
     [](Interp& i, const Var& v, Args& a) {
       const Var& container = other(a, "in");
       if (container.is_string()) return container.text().find(text_of(v, "left operand of 'in'")) != std::string::npos;
       if (container.is(Kind::dict)) return container.dict_ref().find(v) != nullptr;
       const List items = i.iterate(container);
       return std::any_of(items.begin(), items.end(), [&](const Var& x) { return equal(x, v, i.budget()); });
     }},
    {"sameas",
     [](Interp& i, const Var& v, Args& a) {
       const Var& o = other(a, "sameas");
       if (v.kind() != o.kind()) return false;
       return v.object() || o.object() ? v.object() == o.object() : equal(v, o, i.budget());
     }},
    {"escaped", [](Interp&, const Var& v, Args&) { return v.is_string() && v.markup(); }},
    {"filter", [](Interp&, const Var& v, Args&) { return find_filter(text_of(v, "the name of a filter")) != nullptr; }},
    {"test", [](Interp&, const Var& v, Args&) { return find_test(text_of(v, "the name of a test")) != nullptr; }},
};

}  // namespace

Test find_test(std::string_view name) {
  for (const Entry& e : kTests)
    if (name == e.name) return e.test;
  return nullptr;
}

}  // namespace tenon::jinja
