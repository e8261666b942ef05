// Statements: the tags and the text between them.
#include <algorithm>

#include "text/jinja/parser.hpp"

namespace tenon::jinja {

Body parse(std::string_view source, const Dialect& dialect) { return Parser(tokenize(source), dialect).run(); }

Body Parser::run() {
  Body b = body({});
  if (peek().type != TokenType::end) stop(fmt::format("unexpected '{}'", describe(peek())));
  return b;
}

// Statements up to a block whose tag is one of `ends`; that tag is left for the caller (its delimiter is taken).
Body Parser::body(std::initializer_list<std::string_view> ends) {
  const Nested nested(*this);
  Body out;
  while (peek().type != TokenType::end) {
    if (peek().type == TokenType::block_begin) {
      const Token& name = peek(1);
      if (name.type == TokenType::name && std::find(ends.begin(), ends.end(), name.text) != ends.end()) {
        take();
        return out;
      }
    }
    out.push_back(statement());
  }
  if (ends.size() > 0) stop(fmt::format("Unexpected end of template. Jinja was looking for '{}'", *ends.begin()));
  return out;
}

std::unique_ptr<Stmt> Parser::statement() {
  auto s = std::make_unique<Stmt>();
  s->line = peek().line;
  if (peek().type == TokenType::data) {
    s->kind = StmtKind::text;
    s->text = take().text;
  } else if (peek().type == TokenType::variable_begin) {
    take();
    s->kind = StmtKind::print;
    s->value = tuple(true);
    if (peek().type != TokenType::variable_end)
      stop(fmt::format("expected token 'end of print statement', got '{}'", describe(peek())));
    take();
  } else {
    take();
    const std::string name = expect_name();
    open_tags_.push_back(name);
    tag(*s, name);
    open_tags_.pop_back();
  }
  return s;
}

void Parser::tag(Stmt& s, const std::string& name) {
  if (name == "if") return if_tag(s);
  if (name == "for") return for_tag(s);
  if (name == "set") return set_tag(s);
  if (name == "macro") return macro_tag(s);
  if (name == "call") return call_tag(s);
  if (name == "filter") return filter_tag(s);
  if (name == "with") return with_tag(s);
  if (name == "generation" && dialect_.generation_tag) return scope_tag(s, "endgeneration");
  if (name == "block") {
    expect_name();
    skip_name("scoped");
    return scope_tag(s, "endblock");
  }
  if (name == "autoescape") {
    expression();
    return scope_tag(s, "endautoescape");
  }
  if (name == "break" || name == "continue") {
    if (loops_ == 0) stop(fmt::format("'{}' outside loop", name));
    s.kind = name == "break" ? StmtKind::break_ : StmtKind::continue_;
    return expect_block_end();
  }
  if (open_tags_.size() > 1)
    stop(fmt::format("Encountered unknown tag '{}'. The innermost block that needs to be closed is '{}'.", name,
                     open_tags_[open_tags_.size() - 2]));
  stop(fmt::format("Encountered unknown tag '{}'.", name));
}

Body Parser::closed_body(std::string_view end) {
  expect_block_end();
  Body b = body({end});
  take();
  if (end == "endblock" && peek().type == TokenType::name) take();
  expect_block_end();
  return b;
}

void Parser::if_tag(Stmt& s) {
  s.kind = StmtKind::condition;
  while (true) {
    ExprPtr condition = tuple(false);
    expect_block_end();
    s.branches.emplace_back(std::move(condition), body({"elif", "else", "endif"}));
    const std::string next = take().text;
    if (next == "elif") continue;
    if (next == "else") {
      s.otherwise = closed_body("endif");
    } else {
      expect_block_end();
    }
    return;
  }
}

void Parser::for_tag(Stmt& s) {
  s.kind = StmtKind::loop;
  s.target = target(false, true);
  if (!skip_name("in")) stop(fmt::format("expected token 'in', got '{}'", describe(peek())));
  s.value = tuple(false);
  if (skip_name("if")) s.test = expression();
  s.recursive = skip_name("recursive");
  expect_block_end();
  ++loops_;
  s.body = body({"endfor", "else"});
  --loops_;
  if (take().text == "else")
    s.otherwise = closed_body("endfor");
  else
    expect_block_end();
}

// A name, a.b for a namespace, or several of them; never a constant.
ExprPtr Parser::target(bool allow_attribute, bool allow_tuple) {
  const Nested nested(*this);
  const auto one = [&]() -> ExprPtr {
    if (allow_tuple && (at_op("(") || at_op("["))) {
      const bool round = take().text == "(";
      ExprPtr e = target(false, true);
      expect_op(round ? ")" : "]");
      return e;
    }
    if (peek().type == TokenType::block_end) stop("Expected an expression, got 'end of statement block'");
    ExprPtr e = make(ExprKind::name);
    e->text = expect_name();
    for (const char* constant : {"true", "false", "none", "True", "False", "None"})
      if (e->text == constant) stop(fmt::format("can't assign to '{}'", constant));
    if (allow_attribute && at_op(".")) {
      take();
      ExprPtr parent = make(ExprKind::attribute);
      parent->text = expect_name();
      parent->items.push_back(std::move(e));
      return parent;
    }
    return e;
  };
  ExprPtr first = one();
  if (!allow_tuple || !at_op(",")) return first;
  ExprPtr e = make(ExprKind::tuple);
  e->items.push_back(std::move(first));
  while (skip_op(",")) {
    if (at_name("in") || at_op("=") || at_op(")")) break;
    e->items.push_back(one());
  }
  return grow(std::move(e));
}

void Parser::set_tag(Stmt& s) {
  s.target = target(true, true);
  if (skip_op("=")) {
    s.kind = StmtKind::assign;
    s.value = tuple(true);
    return expect_block_end();
  }
  s.kind = StmtKind::assign_block;
  while (skip_op("|")) s.values.push_back(filter(nullptr));
  s.body = closed_body("endset");
}

void Parser::parameters(Stmt& s) {
  expect_op("(");
  while (!at_op(")")) {
    if (!s.parameters.empty()) expect_op(",");
    if (at_op(")")) break;
    Parameter p;
    p.name = expect_name();
    if (skip_op("="))
      p.fallback = expression();
    else if (!s.parameters.empty() && s.parameters.back().fallback)
      stop("non-default argument follows default argument");
    s.parameters.push_back(std::move(p));
  }
  expect_op(")");
}

void Parser::macro_tag(Stmt& s) {
  s.kind = StmtKind::macro;
  s.text = expect_name();
  parameters(s);
  const int outer = std::exchange(loops_, 0);
  s.body = closed_body("endmacro");
  loops_ = outer;
}

void Parser::call_tag(Stmt& s) {
  s.kind = StmtKind::call;
  if (at_op("(")) parameters(s);
  s.value = expression();
  if (s.value->kind != ExprKind::call) stop("expected call");
  const int outer = std::exchange(loops_, 0);
  s.body = closed_body("endcall");
  loops_ = outer;
}

void Parser::filter_tag(Stmt& s) {
  s.kind = StmtKind::filter;
  s.values.push_back(filter(nullptr));
  while (skip_op("|")) s.values.push_back(filter(nullptr));
  s.body = closed_body("endfilter");
}

void Parser::with_tag(Stmt& s) {
  s.kind = StmtKind::with;
  while (peek().type != TokenType::block_end) {
    if (!s.targets.empty()) expect_op(",");
    s.targets.push_back(target(false, false));
    expect_op("=");
    s.values.push_back(expression());
  }
  s.body = closed_body("endwith");
}

void Parser::scope_tag(Stmt& s, std::string_view end) {
  s.kind = StmtKind::scope;
  s.body = closed_body(end);
}

}  // namespace tenon::jinja
