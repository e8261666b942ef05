// Statements, macros and scopes.
#include "text/jinja/interp.hpp"

#include "text/jinja/builtins.hpp"

namespace tenon::jinja {

// A new scope for as long as it lives.
struct Interp::Inner {
  Inner(Interp& i, ScopePtr parent) : interp(i), saved(i.scope_) {
    interp.scope_ = std::make_shared<Scope>();
    interp.scope_->parent = std::move(parent);
  }
  ~Inner() { interp.scope_ = saved; }
  Interp& interp;
  ScopePtr saved;
};

Interp::Interp(const std::tm& now) : now_(now) { define_globals(*this); }

Interp::~Interp() {
  for (const ScopePtr& scope : captured_scopes_) scope->variables.clear();
  for (const Var& v : changed_) {
    if (v.is(Kind::sequence))
      v.sequence().items.clear();
    else
      v.dict_ref().clear();
  }
}

void Interp::define(std::string name, Var value) { globals_->variables[std::move(name)] = std::move(value); }

MarkedText Interp::render(const Body& body) {
  MarkedText out;
  out_ = &out;
  // Assignments at the top shadow the context, they do not change it.
  const Inner inner(*this, globals_);
  try {
    run(body);
  } catch (Fault& f) {
    if (f.line == 0) f.line = line_;
    throw;
  }
  return out;
}

void Interp::emit_own(std::string_view text) {
  budget_.output(out_->text.size() + text.size());
  out_->append(text, true);
}

void Interp::emit(const Var& v) {
  if (v.is_string()) budget_.output(out_->text.size() + v.text().size());
  append_text(*out_, v, budget_);
  budget_.output(out_->text.size());
}

Interp::Flow Interp::run(const Body& body) {
  const Height guard(*this);
  for (const auto& s : body)
    if (const Flow flow = run(*s); flow != Flow::normal) return flow;
  return Flow::normal;
}

Interp::Flow Interp::run(const Stmt& s) {
  budget_.step();
  line_ = s.line;
  switch (s.kind) {
    case StmtKind::text:
      emit_own(s.text);
      break;
    case StmtKind::print:
      emit(eval(*s.value));
      break;
    case StmtKind::condition:
      return run_condition(s);
    case StmtKind::loop:
      run_loop(s, eval(*s.value), 1);
      break;
    case StmtKind::assign:
      run_assign(s);
      break;
    case StmtKind::assign_block:
      assign(*s.target, apply_filters(s.values, Var::string(captured(s.body))));
      break;
    case StmtKind::macro:
      run_macro(s);
      break;
    case StmtKind::call:
      run_call(s);
      break;
    case StmtKind::filter:
      emit(apply_filters(s.values, Var::string(captured(s.body))));
      break;
    case StmtKind::with:
      run_with(s);
      break;
    case StmtKind::scope: {
      const Inner inner(*this, scope_);
      return run(s.body);
    }
    case StmtKind::break_:
      return Flow::break_;
    case StmtKind::continue_:
      return Flow::continue_;
  }
  return Flow::normal;
}

Interp::Flow Interp::run_condition(const Stmt& s) {
  for (const auto& [condition, body] : s.branches)
    if (truthy(eval(*condition))) return run(body);
  return run(s.otherwise);
}

List Interp::loop_items(const Stmt& s, const Var& iterable) {
  List all = iterate(iterable);
  if (!s.test) return all;
  List kept;
  for (Var& v : all) {
    budget_.step();
    const Inner inner(*this, scope_);
    assign(*s.target, v);
    if (truthy(eval(*s.test))) kept.push_back(std::move(v));
  }
  return kept;
}

void Interp::run_loop(const Stmt& s, const Var& iterable, size_t depth) {
  const Depth guard(*this);
  const List items = loop_items(s, iterable);
  if (items.empty()) {
    const Inner inner(*this, scope_);
    run(s.otherwise);
    return;
  }
  const auto state = std::make_shared<LoopState>();
  state->items = &items;
  state->depth = depth;
  const ScopePtr outer = scope_;
  if (s.recursive)
    state->recurse = [this, &s, outer, depth](const Var& inner_items) {
      MarkedText out;
      MarkedText* const saved = std::exchange(out_, &out);
      const ScopePtr saved_scope = std::exchange(scope_, outer);
      run_loop(s, inner_items, depth + 1);
      scope_ = saved_scope;
      out_ = saved;
      return Var::string(std::move(out));
    };
  for (size_t i = 0; i < items.size(); ++i) {
    budget_.step();
    state->index = i;
    const Inner inner(*this, outer);
    scope_->variables["loop"] = Var::loop(state);
    assign(*s.target, items[i]);
    if (run(s.body) == Flow::break_) break;
  }
  state->items = nullptr;
  state->recurse = nullptr;
}

void Interp::run_assign(const Stmt& s) { assign(*s.target, eval(*s.value)); }

void Interp::assign(const Expr& target, const Var& value) {
  if (target.kind == ExprKind::name) {
    scope_->variables[target.text] = value;
    return;
  }
  if (target.kind == ExprKind::attribute) {
    const Var space = lookup(target.items[0]->text);
    if (!space.is(Kind::space)) fault("cannot assign attribute on non-namespace object");
    changed(space);
    space.dict_ref().set(Var::string(target.text), value);
    return;
  }
  const List parts = iterate(value);
  if (parts.size() != target.items.size()) fault("{} values to unpack, expected {}", parts.size(), target.items.size());
  for (size_t i = 0; i < parts.size(); ++i) assign(*target.items[i], parts[i]);
}

MarkedText Interp::captured(const Body& body) {
  MarkedText out;
  MarkedText* const saved = std::exchange(out_, &out);
  const Inner inner(*this, scope_);
  run(body);
  out_ = saved;
  budget_.bytes(out.text.size());
  return out;
}

Var Interp::macro(std::string name, const std::vector<Parameter>& parameters, const Body& body) {
  captured_scopes_.push_back(scope_);
  return Var::callable(name, [name, &parameters, &body, scope = scope_](Interp& interp, Args& args) {
    return interp.call_macro(name, parameters, body, scope, args);
  });
}

Var Interp::call_macro(const std::string& name, const std::vector<Parameter>& parameters, const Body& body,
                       const ScopePtr& scope, Args& args) {
  const Inner inner(*this, scope);
  auto& variables = scope_->variables;
  List extra;
  for (size_t i = 0; i < args.positional.size(); ++i) {
    if (i < parameters.size())
      variables[parameters[i].name] = args.positional[i];
    else
      extra.push_back(args.positional[i]);
  }
  const Var keywords = Var::dict();
  for (auto& [key, value] : args.named) {
    bool known = key == "caller";
    for (size_t i = 0; i < parameters.size() && !known; ++i) known = parameters[i].name == key;
    if (known)
      variables[key] = value;
    else
      keywords.dict_ref().set(Var::string(key), value);
  }
  for (const Parameter& p : parameters) {
    if (variables.contains(p.name)) continue;
    variables[p.name] = p.fallback
                            ? eval(*p.fallback)
                            : Var::undefined(fmt::format("parameter '{}' of '{}' was not provided", p.name, name));
  }
  variables.emplace("varargs", Var::list(std::move(extra), Flavor::tuple));
  variables.emplace("kwargs", keywords);
  MarkedText out;
  MarkedText* const saved = std::exchange(out_, &out);
  run(body);
  out_ = saved;
  budget_.bytes(out.text.size());
  return Var::string(std::move(out));
}

void Interp::run_macro(const Stmt& s) { scope_->variables[s.text] = macro(s.text, s.parameters, s.body); }

void Interp::run_call(const Stmt& s) {
  const Var function = eval(*s.value->items[0]);
  Args args = eval_arguments(s.value->arguments);
  args.named.emplace_back("caller", macro("caller", s.parameters, s.body));
  emit(call(function, args));
}

void Interp::run_with(const Stmt& s) {
  List values;
  for (const auto& v : s.values) values.push_back(eval(*v));
  const Inner inner(*this, scope_);
  for (size_t i = 0; i < values.size(); ++i) assign(*s.targets[i], values[i]);
  run(s.body);
}

Var Interp::apply_filters(const std::vector<ExprPtr>& chain, Var value) {
  for (const auto& f : chain) {
    Args args = eval_arguments(f->arguments);
    value = filter(f->text, value, args);
  }
  return value;
}

Var Interp::call(const Var& function, Args& args) {
  budget_.step();
  const Depth guard(*this);
  if (function.is(Kind::loop)) {
    const LoopState& loop = function.loop_ref();
    if (!loop.recurse) fault("The loop must have the 'recursive' marker to be called recursively.");
    if (args.positional.size() != 1) fault("loop() takes one argument");
    const auto recurse = loop.recurse;
    return recurse(args.positional[0]);
  }
  if (function.is_undefined()) fault("{}", function.undefined_message());
  if (!function.is(Kind::callable)) fault("'{}' object is not callable", type_name(function));
  const std::shared_ptr<Object> alive = function.object();
  return static_cast<const Callable&>(*alive).function(*this, args);
}

Var Interp::filter(const std::string& name, const Var& value, Args& args) {
  budget_.step();
  const Builtin f = find_filter(name);
  if (!f) fault("No filter named '{}'.", name);
  const bool trusted = wholly_trusted(value, args);
  return with_origin(name, value, trusted, f(*this, value, args));
}

bool Interp::test(const std::string& name, const Var& value, Args& args) {
  budget_.step();
  const Test t = find_test(name);
  if (!t) fault("No test named '{}'.", name);
  return t(*this, value, args);
}

List Interp::iterate(const Var& v) {
  switch (v.kind()) {
    case Kind::undefined:
      return {};
    case Kind::string: {
      List out;
      const std::string& s = v.text();
      budget_.step(s.size());
      for (size_t at = 0; at < s.size();) {
        size_t end = at + 1;
        while (end < s.size() && (s[end] & 0xc0) == 0x80) ++end;
        out.push_back(Var::string(s.substr(at, end - at)));
        at = end;
      }
      return out;
    }
    case Kind::sequence: {
      budget_.step(v.sequence().items.size());
      budget_.bytes(v.sequence().items.size() * sizeof(Var));
      if (!v.is_list(Flavor::generator)) return v.sequence().items;
      return std::exchange(v.sequence().items, {});
    }
    case Kind::dict: {
      List keys;
      budget_.step(v.dict_ref().size());
      for (const auto& item : v.dict_ref().items()) keys.push_back(item.first);
      return keys;
    }
    default:
      fault("'{}' object is not iterable", type_name(v));
  }
}

}  // namespace tenon::jinja
