// Walks the tree of a template. One object per rendering; what filters, tests and methods need of it is public.
#pragma once

#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.hpp"
#include "text/jinja/budget.hpp"
#include "text/jinja/var.hpp"

namespace tenon::jinja {

struct Scope {
  std::map<std::string, Var, std::less<>> variables;
  std::shared_ptr<Scope> parent;
};

class Interp {
 public:
  explicit Interp(const std::tm& now);
  ~Interp();
  Interp(const Interp&) = delete;
  Interp& operator=(const Interp&) = delete;

  void define(std::string name, Var value);
  /// Throws Fault with the line.
  MarkedText render(const Body& body);

  Budget& budget() { return budget_; }
  const std::tm& now() const { return now_; }
  std::string text(const Var& v) { return to_text(v, budget_); }
  Var call(const Var& function, Args& args);
  Var filter(const std::string& name, const Var& value, Args& args);
  bool test(const std::string& name, const Var& value, Args& args);
  /// a.name: methods and attributes first, then members; undefined when there is neither.
  Var attribute(const Var& object, const std::string& name);
  /// a[key]: members first, then attributes.
  Var item(const Var& object, const Var& key);
  /// The items of anything iterable; a generator is used up by it.
  List iterate(const Var& v);
  /// Remembers a container that was changed in place, so that a cycle through it is broken at the end.
  void changed(const Var& container) { changed_.push_back(container); }

 private:
  enum class Flow { normal, break_, continue_ };
  using ScopePtr = std::shared_ptr<Scope>;

  Flow run(const Body& body);
  Flow run(const Stmt& s);
  Flow run_condition(const Stmt& s);
  void run_loop(const Stmt& s, const Var& iterable, size_t depth);
  List loop_items(const Stmt& s, const Var& iterable);
  void run_assign(const Stmt& s);
  void run_macro(const Stmt& s);
  void run_call(const Stmt& s);
  void run_with(const Stmt& s);
  MarkedText captured(const Body& body);
  Var macro(std::string name, const std::vector<Parameter>& parameters, const Body& body);
  Var call_macro(const std::string& name, const std::vector<Parameter>& parameters, const Body& body,
                 const ScopePtr& scope, Args& args);
  Var apply_filters(const std::vector<ExprPtr>& chain, Var value);
  void assign(const Expr& target, const Var& value);
  void emit(const Var& v);
  void emit_own(std::string_view text);

  Var eval(const Expr& e);
  Var eval_binary(const Expr& e);
  Var eval_compare(const Expr& e);
  Var eval_concat(const Expr& e);
  Var eval_container(const Expr& e);
  Var eval_slice(const Expr& e);
  Var eval_call(const Expr& e);
  Args eval_arguments(const std::vector<Argument>& arguments);
  Var lookup(const std::string& name);
  bool contains(const Var& container, const Var& item);

  struct Depth {
    explicit Depth(Interp& i) : interp(i) { Budget::depth(++interp.calls_); }
    ~Depth() { --interp.calls_; }
    Interp& interp;
  };
  // One level of the tree being walked, whatever calls it is spread over: bounds the machine's stack.
  struct Height {
    explicit Height(Interp& i) : interp(i) {
      if (interp.heights_ >= kMaxHeights) fault("evaluation nested deeper than {}", kMaxHeights);
      ++interp.heights_;
    }
    ~Height() { --interp.heights_; }
    Interp& interp;
  };
  static constexpr int kMaxHeights = 600;
  struct Inner;

  std::tm now_;
  Budget budget_;
  ScopePtr globals_ = std::make_shared<Scope>(), scope_ = globals_;
  MarkedText* out_ = nullptr;
  int line_ = 1;
  int calls_ = 0;    // nested calls
  int heights_ = 0;  // of expressions and bodies being evaluated, all together
  std::vector<ScopePtr> captured_scopes_;
  List changed_;
};

/// True when nothing that goes into a call can be a user's text. To be asked before the call: generators are used up.
bool wholly_trusted(const Var& self, const Args& args);
/// The result of a filter or method, with what of it is the template's own text (eval.cpp).
Var with_origin(std::string_view function, const Var& self, bool inputs_trusted, Var result);
/// a OP b of arithmetic (operators.cpp).
Var arithmetic(Interp& interp, const std::string& op, const Var& a, const Var& b);
std::string escaped_html(std::string_view text);

}  // namespace tenon::jinja
