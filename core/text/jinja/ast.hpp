// The tree of a template. Heights are bounded by the parser, so that walking it needs a bounded stack.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/jinja/var.hpp"

namespace tenon::jinja {

enum class ExprKind {
  constant,
  name,
  list,
  tuple,
  dict,  // items; a dict's are key, value, key, value
  attribute,
  item,
  slice,  // items[0].text; items[0][items[1]]; items[1..3] are begin, end, step or null
  call,
  filter,
  test,  // items[0] and arguments; text names a filter or a test; negated: `is not`
  logic_not,
  negate,
  positive,  // items[0]
  binary,
  logic_and,
  logic_or,  // text is the operator of a binary one
  concat,
  compare,     // items joined by ~; items with operators between them
  conditional  // items: condition, then, else or null
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Argument {
  std::string name;  // empty for a positional one
  int stars = 0;     // 1: *args, 2: **kwargs
  ExprPtr value;
};

struct Expr {
  ExprKind kind;
  int line = 0;
  int height = 1;
  std::string text;
  Var value;
  std::vector<ExprPtr> items;
  std::vector<std::string> operators;
  std::vector<Argument> arguments;
  bool negated = false;
};

enum class StmtKind {
  text,
  print,
  condition,
  loop,
  assign,
  assign_block,
  macro,
  call,
  filter,
  with,
  scope,
  break_,
  continue_
};

struct Stmt;
using Body = std::vector<std::unique_ptr<Stmt>>;

struct Parameter {
  std::string name;
  ExprPtr fallback;  // null: undefined when not given
};

struct Stmt {
  StmtKind kind;
  int line = 0;
  std::string text;                      // of text; the name of a macro
  ExprPtr target, value, test;           // loop: target in value if test; assign: target = value; print: value
  std::vector<ExprPtr> targets, values;  // with; filter_block's chain in values
  std::vector<Parameter> parameters;     // macro and call
  std::vector<std::pair<ExprPtr, Body>> branches;  // condition: if and its elifs
  Body body, otherwise;
  bool recursive = false;
};

/// Options of the dialect: `generation` is a tag of chat rendering only.
struct Dialect {
  bool generation_tag = true;
};

/// Throws Fault with the line.
Body parse(std::string_view source, const Dialect& dialect);

}  // namespace tenon::jinja
