// Tokens to the tree. One object per template.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.hpp"
#include "text/jinja/lexer.hpp"

namespace tenon::jinja {

class Parser {
 public:
  Parser(std::vector<Token> tokens, const Dialect& dialect) : tokens_(std::move(tokens)), dialect_(dialect) {}
  Body run();

 private:
  static constexpr int kMaxHeight = 250;   // of an expression
  static constexpr int kMaxNesting = 100;  // of brackets and of blocks

  // Tokens.
  const Token& peek(size_t ahead = 0) const;
  const Token& take();
  bool at_op(std::string_view op) const;
  bool at_name(std::string_view name) const;
  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_op(std::string_view op);
  std::string expect_name();
  void expect_block_end();
  [[noreturn]] void stop(std::string message) const;
  std::string describe(const Token& token) const;

  // Statements (parse_statement.cpp).
  Body body(std::initializer_list<std::string_view> ends);
  std::unique_ptr<Stmt> statement();
  void tag(Stmt& s, const std::string& name);
  void if_tag(Stmt& s);
  void for_tag(Stmt& s);
  void set_tag(Stmt& s);
  void macro_tag(Stmt& s);
  void call_tag(Stmt& s);
  void filter_tag(Stmt& s);
  void with_tag(Stmt& s);
  void scope_tag(Stmt& s, std::string_view end);
  void parameters(Stmt& s);
  Body closed_body(std::string_view end);
  ExprPtr target(bool allow_attribute, bool allow_tuple);

  // Expressions (parser.cpp).
  ExprPtr make(ExprKind kind) const;
  ExprPtr grow(ExprPtr parent);
  ExprPtr binary(ExprPtr left, std::string op, ExprPtr right);
  ExprPtr tuple(bool with_conditional);
  ExprPtr expression(bool with_conditional = true);
  ExprPtr logic_or();
  ExprPtr logic_and();
  ExprPtr logic_not();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concat();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filter);
  ExprPtr primary();
  ExprPtr parenthesised();
  ExprPtr list_literal();
  ExprPtr dict_literal();
  ExprPtr postfix(ExprPtr e);
  ExprPtr subscript(ExprPtr e);
  ExprPtr slice_part(bool& is_slice, std::vector<ExprPtr>& bounds);
  ExprPtr filters(ExprPtr e);
  ExprPtr filter(ExprPtr e);
  ExprPtr test(ExprPtr e);
  void arguments(std::vector<Argument>& out);

  struct Nested {
    explicit Nested(Parser& p) : parser(p) {
      if (++parser.nesting_ > kMaxNesting) parser.stop("nested too deeply");
    }
    ~Nested() { --parser.nesting_; }
    Parser& parser;
  };

  std::vector<Token> tokens_;
  Dialect dialect_;
  size_t at_ = 0;
  int nesting_ = 0, loops_ = 0;
  std::vector<std::string> open_tags_;
};

}  // namespace tenon::jinja
