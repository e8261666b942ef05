// Expressions, attributes and items.
#include <algorithm>

#include "text/jinja/builtins.hpp"
#include "text/unicode.hpp"

namespace tenon::jinja {

namespace {

std::string object_name(const Var& v) {
  if (v.is_none()) return "None";
  return "'" + type_name(v) + " object'";
}

size_t code_point_at(std::string_view text, size_t index) {
  size_t at = 0;
  for (; index > 0 && at < text.size(); --index) at += unicode::decode(text, at).length;
  return at;
}

// Python's rule for the bounds of a slice of `n` items.
struct Range {
  int64_t begin, end, step;
};
Range slice_range(const Var& begin, const Var& end, const Var& step, int64_t n) {
  Range r{0, n, 1};
  if (!step.is_none()) r.step = integer_of(step, "slice step");
  if (r.step == 0) fault("slice step cannot be zero");
  const auto clamp = [&](int64_t i) {
    if (i < 0) i = std::max<int64_t>(i + n, r.step < 0 ? -1 : 0);
    return std::min(i, r.step < 0 ? n - 1 : n);
  };
  r.begin = begin.is_none() ? (r.step < 0 ? n - 1 : 0) : clamp(integer_of(begin, "slice index"));
  r.end = end.is_none() ? (r.step < 0 ? -1 : n) : clamp(integer_of(end, "slice index"));
  return r;
}

template <typename Each>
void walk(const Range& r, Each&& each) {
  if (r.step > 0)
    for (int64_t i = r.begin; i < r.end; i += std::min(r.step, r.end - i)) each(i);
  else
    for (int64_t i = r.begin; i > r.end; i -= std::min(-std::max(r.step, -(int64_t{1} << 40)), i - r.end)) each(i);
}

Var loop_attribute(const Var& self, const std::string& name) {
  LoopState& loop = self.loop_ref();
  const auto i = static_cast<int64_t>(loop.index);
  const auto n = loop.items ? static_cast<int64_t>(loop.items->size()) : i + 1;
  if (name == "index") return Var::integer(i + 1);
  if (name == "index0") return Var::integer(i);
  if (name == "revindex") return Var::integer(n - i);
  if (name == "revindex0") return Var::integer(n - i - 1);
  if (name == "first") return Var::boolean(i == 0);
  if (name == "last") return Var::boolean(i + 1 == n);
  if (name == "length") return Var::integer(n);
  if (name == "depth") return Var::integer(static_cast<int64_t>(loop.depth));
  if (name == "depth0") return Var::integer(static_cast<int64_t>(loop.depth) - 1);
  if (name == "previtem")
    return i > 0 && loop.items ? (*loop.items)[loop.index - 1] : Var::undefined("there is no previous item");
  if (name == "nextitem")
    return i + 1 < n && loop.items ? (*loop.items)[loop.index + 1] : Var::undefined("there is no next item");
  if (name == "cycle")
    return Var::callable("cycle", [self](Interp&, Args& a) {
      if (a.positional.empty()) fault("no items for cycling given");
      return a.positional[self.loop_ref().index % a.positional.size()];
    });
  if (name == "changed")
    return Var::callable("changed", [self](Interp& interp, Args& a) {
      LoopState& state = self.loop_ref();
      const Var before = Var::list(state.last_changed.value_or(List{}));
      const bool same = state.last_changed && equal(before, Var::list(a.positional), interp.budget());
      state.last_changed = a.positional;
      return Var::boolean(!same);
    });
  return Var::undefined(fmt::format("'LoopContext object' has no attribute '{}'", name));
}

bool strips(std::string_view function) {
  static constexpr std::string_view kNames[] = {"trim", "strip", "lstrip", "rstrip"};
  return std::find(std::begin(kNames), std::end(kNames), function) != std::end(kNames);
}

}  // namespace

// What a function makes is a user's text unless it can be traced: all that went in was the template's, it came out as
// it went in, or only its ends are gone.
Var with_origin(std::string_view function, const Var& self, bool inputs_trusted, Var result) {
  if (!result.is_string() || !result.trusted_spans().empty() || result.text().empty()) return result;
  MarkedText marked;
  if (inputs_trusted) {
    marked.trusted.push_back({0, result.text().size()});
  } else if (self.is_string() && (strips(function) || result.text() == self.text())) {
    const size_t at = self.text().find(result.text());  // what was stripped is not in it
    if (at == std::string::npos) return result;
    for (const TextSpan& s : self.trusted_spans()) {
      const size_t begin = std::max(s.begin, at), end = std::min(s.end, at + result.text().size());
      if (begin < end) marked.trusted.push_back({begin - at, end - at});
    }
  }
  if (marked.trusted.empty()) return result;
  marked.text = result.text();
  return Var::string(std::move(marked), result.markup());
}

bool wholly_trusted(const Var& self, const Args& args) {
  return wholly_trusted(self) &&
         std::all_of(args.positional.begin(), args.positional.end(), [](const Var& a) { return wholly_trusted(a); }) &&
         std::all_of(args.named.begin(), args.named.end(), [](const auto& a) { return wholly_trusted(a.second); });
}

Var Interp::lookup(const std::string& name) {
  for (const Scope* s = scope_.get(); s; s = s->parent.get())
    if (const auto it = s->variables.find(name); it != s->variables.end()) return it->second;
  return Var::undefined(fmt::format("'{}' is undefined", name));
}

Var Interp::eval(const Expr& e) {
  const Height guard(*this);
  budget_.step();
  line_ = e.line;
  switch (e.kind) {
    case ExprKind::constant:
      return e.value;
    case ExprKind::name:
      return lookup(e.text);
    case ExprKind::list:
    case ExprKind::tuple:
    case ExprKind::dict:
      return eval_container(e);
    case ExprKind::attribute:
      return attribute(eval(*e.items[0]), e.text);
    case ExprKind::item: {
      const Var object = eval(*e.items[0]);
      return item(object, eval(*e.items[1]));
    }
    case ExprKind::slice:
      return eval_slice(e);
    case ExprKind::call:
      return eval_call(e);
    case ExprKind::filter: {
      const Var value = eval(*e.items[0]);
      Args args = eval_arguments(e.arguments);
      return filter(e.text, value, args);
    }
    case ExprKind::test: {
      const Var value = eval(*e.items[0]);
      Args args = eval_arguments(e.arguments);
      return Var::boolean(test(e.text, value, args) != e.negated);
    }
    case ExprKind::logic_not:
      return Var::boolean(!truthy(eval(*e.items[0])));
    case ExprKind::negate:
      return arithmetic(*this, "-", Var::integer(0), eval(*e.items[0]));
    case ExprKind::positive:
      return arithmetic(*this, "+", Var::integer(0), eval(*e.items[0]));
    case ExprKind::binary:
      return eval_binary(e);
    case ExprKind::logic_or:
    case ExprKind::logic_and: {
      Var left = eval(*e.items[0]);
      return truthy(left) == (e.kind == ExprKind::logic_or) ? left : eval(*e.items[1]);
    }
    case ExprKind::concat:
      return eval_concat(e);
    case ExprKind::compare:
      return eval_compare(e);
    case ExprKind::conditional:
      if (truthy(eval(*e.items[0]))) return eval(*e.items[1]);
      return e.items[2] ? eval(*e.items[2]) : Var::undefined("the inline if-expression evaluated to false");
  }
  fault("unknown expression");
}

Var Interp::eval_binary(const Expr& e) {
  const Var left = eval(*e.items[0]);
  const Var right = eval(*e.items[1]);
  line_ = e.line;
  return arithmetic(*this, e.text, left, right);
}

Var Interp::eval_concat(const Expr& e) {
  MarkedText out;
  for (const auto& part : e.items) {
    append_text(out, eval(*part), budget_);
    budget_.output(out.text.size());
  }
  budget_.bytes(out.text.size() + out.trusted.size() * sizeof(TextSpan));
  return Var::string(std::move(out));
}

bool Interp::contains(const Var& container, const Var& needle) {
  if (container.is_string()) {
    budget_.step(container.text().size() / 256);
    if (!needle.is_string()) fault("'in <string>' requires string as left operand, not {}", type_name(needle));
    return container.text().find(needle.text()) != std::string::npos;
  }
  if (container.is(Kind::dict)) return container.dict_ref().find(needle) != nullptr;
  if (container.is_undefined() || container.is(Kind::sequence)) {
    for (const Var& v : iterate(container))
      if (equal(v, needle, budget_)) return true;
    return false;
  }
  fault("argument of type '{}' is not iterable", type_name(container));
}

Var Interp::eval_compare(const Expr& e) {
  Var left = eval(*e.items[0]);
  for (size_t i = 0; i < e.operators.size(); ++i) {
    Var right = eval(*e.items[i + 1]);
    line_ = e.line;
    const std::string& op = e.operators[i];
    bool holds = false;
    if (op == "==" || op == "!=")
      holds = equal(left, right, budget_) == (op == "==");
    else if (op == "in" || op == "not in")
      holds = contains(right, left) == (op == "in");
    else if (op[0] == '<')
      holds = op == "<" ? compare(left, right, budget_) < 0 : compare(left, right, budget_) <= 0;
    else
      holds = op == ">" ? compare(left, right, budget_) > 0 : compare(left, right, budget_) >= 0;
    if (!holds) return Var::boolean(false);
    left = std::move(right);
  }
  return Var::boolean(true);
}

Var Interp::eval_container(const Expr& e) {
  budget_.bytes(e.items.size() * sizeof(Var) + sizeof(Dict));
  if (e.kind == ExprKind::dict) {
    Var out = Var::dict();
    for (size_t i = 0; i + 1 < e.items.size(); i += 2) {
      const Var key = eval(*e.items[i]);
      out.dict_ref().set(key, eval(*e.items[i + 1]));
    }
    return out;
  }
  List items;
  for (const auto& item : e.items) items.push_back(eval(*item));
  return Var::list(std::move(items), e.kind == ExprKind::tuple ? Flavor::tuple : Flavor::list);
}

Var Interp::eval_slice(const Expr& e) {
  const Var object = eval(*e.items[0]);
  Var bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    bounds[i] = e.items[i + 1] ? eval(*e.items[i + 1]) : Var::none();
    if (bounds[i].is_undefined()) fault("{}", bounds[i].undefined_message());
  }
  if (object.is_string()) {
    const List letters = iterate(object);
    std::string out;
    walk(slice_range(bounds[0], bounds[1], bounds[2], static_cast<int64_t>(letters.size())),
         [&](int64_t i) { out += letters[static_cast<size_t>(i)].text(); });
    budget_.bytes(out.size());
    if (wholly_trusted(object)) return Var::trusted(std::move(out));
    return Var::string(std::move(out), object.markup());
  }
  if (object.is_undefined()) fault("{}", object.undefined_message());
  if (!object.is(Kind::sequence)) fault("{} cannot be sliced", object_name(object));
  const List items = iterate(object);
  List out;
  walk(slice_range(bounds[0], bounds[1], bounds[2], static_cast<int64_t>(items.size())),
       [&](int64_t i) { out.push_back(items[static_cast<size_t>(i)]); });
  return Var::list(std::move(out), object.is_list(Flavor::tuple) ? Flavor::tuple : Flavor::list);
}

Var Interp::eval_call(const Expr& e) {
  const Var function = eval(*e.items[0]);
  Args args = eval_arguments(e.arguments);
  line_ = e.line;
  return call(function, args);
}

Args Interp::eval_arguments(const std::vector<Argument>& arguments) {
  Args out;
  for (const Argument& a : arguments) {
    Var v = eval(*a.value);
    if (a.stars == 1) {
      for (Var& item : iterate(v)) out.positional.push_back(std::move(item));
    } else if (a.stars == 2) {
      if (!v.is(Kind::dict)) fault("argument after ** must be a mapping, not {}", type_name(v));
      for (const auto& [key, value] : v.dict_ref().items()) out.named.emplace_back(text(key), value);
    } else if (!a.name.empty()) {
      out.named.emplace_back(a.name, std::move(v));
    } else {
      out.positional.push_back(std::move(v));
    }
  }
  return out;
}

Var Interp::attribute(const Var& object, const std::string& name) {
  if (object.is_undefined()) fault("{}", object.undefined_message());
  if (object.is(Kind::loop)) return loop_attribute(object, name);
  if (const Builtin method = find_method(object, name))
    return Var::callable(name, [name, object, method](Interp& interp, Args& args) {
      const bool trusted = wholly_trusted(object, args);
      return with_origin(name, object, trusted, method(interp, object, args));
    });
  if (object.is(Kind::dict) || object.is(Kind::space))
    if (const Var* found = object.dict_ref().find(name)) return *found;
  if (object.is(Kind::callable) && name == "name") return Var::string(object.callable_ref().name);
  return Var::undefined(fmt::format("{} has no attribute '{}'", object_name(object), name));
}

Var Interp::item(const Var& object, const Var& key) {
  if (object.is_undefined()) fault("{}", object.undefined_message());
  if (key.is_undefined() && object.is(Kind::dict)) return Var::undefined(key.undefined_message());
  if (object.is(Kind::dict)) {
    if (const Var* found = object.dict_ref().find(key)) return *found;
  } else if (object.is(Kind::sequence) && key.is_integral()) {
    const List& items = object.sequence().items;
    const Int n = static_cast<Int>(items.size()), i = key.as_int() < 0 ? key.as_int() + n : key.as_int();
    if (i >= 0 && i < n) return items[static_cast<size_t>(i)];
    return Var::undefined(fmt::format("{} has no element {}", object_name(object), int_text(key.as_int())));
  } else if (object.is_string() && key.is_integral()) {
    const Int n = static_cast<Int>(unicode::length(object.text()));
    budget_.step(static_cast<size_t>(n) / 64);
    const Int i = key.as_int() < 0 ? key.as_int() + n : key.as_int();
    if (i < 0 || i >= n) return Var::undefined(fmt::format("'str object' has no element {}", int_text(key.as_int())));
    const size_t at = code_point_at(object.text(), static_cast<size_t>(i));
    return Var::string(object.text().substr(at, unicode::decode(object.text(), at).length));
  }
  if (key.is_string()) return attribute(object, key.text());
  return Var::undefined(fmt::format("{} has no element {}", object_name(object), to_repr(key, budget_)));
}

}  // namespace tenon::jinja
