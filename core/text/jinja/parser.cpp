// Expressions: Jinja's grammar by recursive descent, one function per level of precedence.
#include "text/jinja/parser.hpp"

#include <algorithm>
#include <cstdlib>

namespace tenon::jinja {

const Token& Parser::peek(size_t ahead) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
const Token& Parser::take() {
  const Token& t = peek();
  if (at_ + 1 < tokens_.size()) ++at_;
  return t;
}
bool Parser::at_op(std::string_view op) const { return peek().type == TokenType::op && peek().text == op; }
bool Parser::at_name(std::string_view name) const { return peek().type == TokenType::name && peek().text == name; }
bool Parser::skip_op(std::string_view op) { return at_op(op) ? (take(), true) : false; }
bool Parser::skip_name(std::string_view name) { return at_name(name) ? (take(), true) : false; }

std::string Parser::describe(const Token& token) const {
  switch (token.type) {
    case TokenType::data:
      return "template data";
    case TokenType::variable_begin:
      return "begin of print statement";
    case TokenType::variable_end:
      return "end of print statement";
    case TokenType::block_begin:
      return "begin of statement block";
    case TokenType::block_end:
      return "end of statement block";
    case TokenType::end:
      return "end of template";
    default:
      return token.text;
  }
}

void Parser::stop(std::string message) const { throw Fault{std::move(message), peek().line}; }

void Parser::expect_op(std::string_view op) {
  if (!skip_op(op)) stop(fmt::format("expected token '{}', got '{}'", op, describe(peek())));
}
std::string Parser::expect_name() {
  if (peek().type != TokenType::name) stop(fmt::format("expected token 'name', got '{}'", describe(peek())));
  return take().text;
}
void Parser::expect_block_end() {
  if (peek().type != TokenType::block_end)
    stop(fmt::format("expected token 'end of statement block', got '{}'", describe(peek())));
  take();
}

ExprPtr Parser::make(ExprKind kind) const {
  auto e = std::make_unique<Expr>();
  e->kind = kind;
  e->line = peek().line;
  return e;
}

// Records how high the tree above the children has become.
ExprPtr Parser::grow(ExprPtr parent) {
  int height = 0;
  for (const auto& item : parent->items)
    if (item) height = std::max(height, item->height);
  for (const auto& argument : parent->arguments) height = std::max(height, argument.value->height);
  parent->height = height + 1;
  if (parent->height > kMaxHeight) stop(fmt::format("expression nested deeper than {}", kMaxHeight));
  return parent;
}

ExprPtr Parser::binary(ExprPtr left, std::string op, ExprPtr right) {
  ExprPtr e = make(ExprKind::binary);
  e->text = std::move(op);
  e->items.push_back(std::move(left));
  e->items.push_back(std::move(right));
  return grow(std::move(e));
}

// expr or expr, expr, ...: a bare tuple.
ExprPtr Parser::tuple(bool with_conditional) {
  ExprPtr first = expression(with_conditional);
  if (!at_op(",")) return first;
  ExprPtr e = make(ExprKind::tuple);
  e->items.push_back(std::move(first));
  while (skip_op(",")) {
    const TokenType t = peek().type;
    if (t == TokenType::variable_end || t == TokenType::block_end || at_op(")")) break;
    e->items.push_back(expression(with_conditional));
  }
  return grow(std::move(e));
}

ExprPtr Parser::expression(bool with_conditional) {
  const Nested nested(*this);
  ExprPtr e = logic_or();
  if (!with_conditional) return e;
  while (skip_name("if")) {
    ExprPtr c = make(ExprKind::conditional);
    c->items.push_back(logic_or());
    c->items.push_back(std::move(e));
    c->items.push_back(skip_name("else") ? expression() : nullptr);
    e = grow(std::move(c));
  }
  return e;
}

ExprPtr Parser::logic_or() {
  ExprPtr left = logic_and();
  while (skip_name("or")) {
    ExprPtr e = make(ExprKind::logic_or);
    e->items.push_back(std::move(left));
    e->items.push_back(logic_and());
    left = grow(std::move(e));
  }
  return left;
}

ExprPtr Parser::logic_and() {
  ExprPtr left = logic_not();
  while (skip_name("and")) {
    ExprPtr e = make(ExprKind::logic_and);
    e->items.push_back(std::move(left));
    e->items.push_back(logic_not());
    left = grow(std::move(e));
  }
  return left;
}

ExprPtr Parser::logic_not() {
  if (!at_name("not")) return comparison();
  const Nested nested(*this);
  ExprPtr e = make(ExprKind::logic_not);
  take();
  e->items.push_back(logic_not());
  return grow(std::move(e));
}

ExprPtr Parser::comparison() {
  ExprPtr first = sum();
  ExprPtr chain;
  while (true) {
    std::string op;
    for (const char* candidate : {"==", "!=", "<=", ">=", "<", ">"})
      if (at_op(candidate)) op = candidate;
    if (at_name("in")) op = "in";
    const bool not_in = at_name("not") && peek(1).type == TokenType::name && peek(1).text == "in";
    if (not_in) op = "not in";
    if (op.empty()) break;
    take();
    if (not_in) take();
    if (!chain) {
      chain = make(ExprKind::compare);
      chain->items.push_back(std::move(first));
    }
    chain->operators.push_back(op);
    chain->items.push_back(sum());
  }
  return chain ? grow(std::move(chain)) : std::move(first);
}

ExprPtr Parser::sum() {
  ExprPtr left = concat();
  while (at_op("+") || at_op("-")) {
    std::string op = take().text;
    ExprPtr right = concat();
    left = binary(std::move(left), std::move(op), std::move(right));
  }
  return left;
}

ExprPtr Parser::concat() {
  ExprPtr first = product();
  if (!at_op("~")) return first;
  ExprPtr e = make(ExprKind::concat);
  e->items.push_back(std::move(first));
  while (skip_op("~")) e->items.push_back(product());
  return grow(std::move(e));
}

ExprPtr Parser::product() {
  ExprPtr left = power();
  while (at_op("*") || at_op("/") || at_op("//") || at_op("%")) {
    std::string op = take().text;
    ExprPtr right = power();
    left = binary(std::move(left), std::move(op), std::move(right));
  }
  return left;
}

ExprPtr Parser::power() {
  ExprPtr left = unary(true);
  while (skip_op("**")) {
    ExprPtr right = unary(true);
    left = binary(std::move(left), "**", std::move(right));
  }
  return left;
}

ExprPtr Parser::unary(bool with_filter) {
  ExprPtr e;
  if (at_op("-") || at_op("+")) {
    const Nested nested(*this);
    e = make(at_op("-") ? ExprKind::negate : ExprKind::positive);
    take();
    e->items.push_back(unary(false));
    e = grow(std::move(e));
  } else {
    e = primary();
  }
  e = postfix(std::move(e));
  return with_filter ? filters(std::move(e)) : std::move(e);
}

namespace {

Var integer_of(const std::string& text, int line) {
  int base = 10;
  size_t i = 0;
  if (text.size() > 2 && text[0] == '0' && (text[1] | 0x20) >= 'a') {
    const char r = static_cast<char>(text[1] | 0x20);
    base = r == 'x' ? 16 : r == 'o' ? 8 : 2;
    i = 2;
  }
  Int value = 0;
  for (; i < text.size(); ++i) {
    const char c = static_cast<char>(text[i] | 0x20);
    const int digit = text[i] <= '9' ? text[i] - '0' : c - 'a' + 10;
    if (digit >= base || __builtin_mul_overflow(value, Int{base}, &value) ||
        __builtin_add_overflow(value, Int{digit}, &value))
      throw Fault{fmt::format("integer {} is out of range", text.substr(0, 60)), line};
  }
  return Var::integer(value);
}

}  // namespace

ExprPtr Parser::primary() {
  const Token& token = peek();
  ExprPtr e = make(ExprKind::constant);
  switch (token.type) {
    case TokenType::name: {
      const std::string& n = token.text;
      if (n == "true" || n == "True" || n == "false" || n == "False") {
        e->value = Var::boolean(n == "true" || n == "True");
      } else if (n == "none" || n == "None") {
        e->value = Var::none();
      } else {
        e->kind = ExprKind::name;
        e->text = n;
      }
      take();
      return e;
    }
    case TokenType::string: {
      std::string text;
      while (peek().type == TokenType::string) text += take().text;
      e->value = Var::trusted(std::move(text));
      return e;
    }
    case TokenType::integer:
      e->value = integer_of(token.text, token.line);
      break;
    case TokenType::real:
      e->value = Var::real(std::strtod(token.text.c_str(), nullptr));
      break;
    default:
      if (at_op("(")) return parenthesised();
      if (at_op("[")) return list_literal();
      if (at_op("{")) return dict_literal();
      stop(token.type == TokenType::block_end ? "Expected an expression, got 'end of statement block'"
                                              : fmt::format("unexpected '{}'", describe(token)));
  }
  take();
  return e;
}

ExprPtr Parser::parenthesised() {
  const Nested nested(*this);
  take();
  if (at_op(")")) {
    ExprPtr e = make(ExprKind::tuple);
    take();
    return e;
  }
  ExprPtr e = tuple(true);
  expect_op(")");
  return e;
}

ExprPtr Parser::list_literal() {
  const Nested nested(*this);
  ExprPtr e = make(ExprKind::list);
  take();
  while (!at_op("]")) {
    if (!e->items.empty()) expect_op(",");
    if (at_op("]")) break;
    e->items.push_back(expression());
  }
  expect_op("]");
  return grow(std::move(e));
}

ExprPtr Parser::dict_literal() {
  const Nested nested(*this);
  ExprPtr e = make(ExprKind::dict);
  take();
  while (!at_op("}")) {
    if (!e->items.empty()) expect_op(",");
    if (at_op("}")) break;
    e->items.push_back(expression());
    expect_op(":");
    e->items.push_back(expression());
  }
  expect_op("}");
  return grow(std::move(e));
}

ExprPtr Parser::postfix(ExprPtr e) {
  while (true) {
    if (at_op(".")) {
      take();
      ExprPtr parent = make(ExprKind::attribute);
      if (peek().type == TokenType::integer) {
        parent->kind = ExprKind::item;
        ExprPtr index = make(ExprKind::constant);
        index->value = integer_of(peek().text, peek().line);
        take();
        parent->items.push_back(std::move(e));
        parent->items.push_back(std::move(index));
      } else {
        parent->text = expect_name();
        parent->items.push_back(std::move(e));
      }
      e = grow(std::move(parent));
    } else if (at_op("[")) {
      e = subscript(std::move(e));
    } else if (at_op("(")) {
      ExprPtr parent = make(ExprKind::call);
      parent->items.push_back(std::move(e));
      arguments(parent->arguments);
      e = grow(std::move(parent));
    } else {
      return e;
    }
  }
}

ExprPtr Parser::subscript(ExprPtr e) {
  const Nested nested(*this);
  take();
  ExprPtr parent = make(ExprKind::item);
  parent->items.push_back(std::move(e));
  std::vector<ExprPtr> bounds;
  bool is_slice = false;
  ExprPtr first = slice_part(is_slice, bounds);
  if (is_slice) {
    parent->kind = ExprKind::slice;
    for (auto& bound : bounds) parent->items.push_back(std::move(bound));
  } else if (at_op(",")) {
    ExprPtr index = make(ExprKind::tuple);
    index->items.push_back(std::move(first));
    while (skip_op(",")) index->items.push_back(expression());
    parent->items.push_back(grow(std::move(index)));
  } else {
    parent->items.push_back(std::move(first));
  }
  expect_op("]");
  return grow(std::move(parent));
}

// One index, or begin:end:step with each part optional.
ExprPtr Parser::slice_part(bool& is_slice, std::vector<ExprPtr>& bounds) {
  ExprPtr first = at_op(":") ? nullptr : expression();
  if (!at_op(":")) return first;
  is_slice = true;
  bounds.push_back(std::move(first));
  while (bounds.size() < 3 && skip_op(":")) bounds.push_back(at_op(":") || at_op("]") ? nullptr : expression());
  bounds.resize(3);
  return nullptr;
}

void Parser::arguments(std::vector<Argument>& out) {
  const Nested nested(*this);
  expect_op("(");
  for (bool first = true; !at_op(")"); first = false) {
    if (!first) expect_op(",");
    if (at_op(")")) break;
    Argument a;
    if (skip_op("*")) {
      a.stars = 1;
    } else if (skip_op("**")) {
      a.stars = 2;
    } else if (peek().type == TokenType::name && peek(1).type == TokenType::op && peek(1).text == "=") {
      a.name = take().text;
      take();
    } else if (!out.empty() && !out.back().name.empty()) {
      stop("invalid syntax for function call expression");
    }
    a.value = expression();
    out.push_back(std::move(a));
  }
  expect_op(")");
}

ExprPtr Parser::filters(ExprPtr e) {
  while (true) {
    if (at_op("|")) {
      take();
      e = filter(std::move(e));
    } else if (at_name("is")) {
      take();
      e = test(std::move(e));
    } else if (at_op("(")) {
      e = postfix(std::move(e));
    } else {
      return e;
    }
  }
}

ExprPtr Parser::filter(ExprPtr e) {
  ExprPtr parent = make(ExprKind::filter);
  parent->text = expect_name();
  while (skip_op(".")) parent->text += "." + expect_name();
  if (e) parent->items.push_back(std::move(e));
  if (at_op("(")) arguments(parent->arguments);
  return grow(std::move(parent));
}

ExprPtr Parser::test(ExprPtr e) {
  ExprPtr parent = make(ExprKind::test);
  parent->negated = skip_name("not");
  parent->text = expect_name();
  while (skip_op(".")) parent->text += "." + expect_name();
  parent->items.push_back(std::move(e));
  if (at_op("(")) {
    arguments(parent->arguments);
    return grow(std::move(parent));
  }
  const Token& t = peek();
  static constexpr std::string_view kWords[] = {"else", "or", "and", "if", "in", "not", "recursive"};
  const bool word =
      t.type == TokenType::name && std::find(std::begin(kWords), std::end(kWords), t.text) == std::end(kWords);
  if (at_name("is")) stop("You cannot chain multiple tests with is");
  if (word || t.type == TokenType::string || t.type == TokenType::integer || t.type == TokenType::real || at_op("[") ||
      at_op("{")) {
    Argument a;
    a.value = postfix(primary());
    parent->arguments.push_back(std::move(a));
  }
  return grow(std::move(parent));
}

}  // namespace tenon::jinja
