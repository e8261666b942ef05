// What a place of an instance must fulfil: schemas and constants, joined by and, or and not. Equal expressions are one.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/value.hpp"

namespace tenon::grammar::schema {

using ExprId = uint32_t;
inline constexpr ExprId kTrue = 0, kFalse = 1;

struct Expr {
  enum class Kind : uint8_t { truth, falsity, schema, constant, negation, conjunction, disjunction };
  Kind kind = Kind::truth;
  const Value* value = nullptr;    // of a schema or a constant
  std::vector<ExprId> parts = {};  // sorted
  auto operator<=>(const Expr&) const = default;
};

/// Error{capacity} past kMaxExprs.
class Exprs {
 public:
  static constexpr size_t kMaxExprs = 50000;
  Exprs();
  /// `true`, `false` and {} are kTrue and kFalse.
  ExprId schema(const Value& schema);
  ExprId constant(const Value& value);
  ExprId negation(ExprId expr);
  ExprId conjunction(std::vector<ExprId> parts) { return joined(Expr::Kind::conjunction, std::move(parts)); }
  ExprId disjunction(std::vector<ExprId> parts) { return joined(Expr::Kind::disjunction, std::move(parts)); }
  const Expr& operator[](ExprId id) const { return *list_[id]; }

 private:
  ExprId number(Expr expr);
  ExprId joined(Expr::Kind kind, std::vector<ExprId> parts);
  std::map<Expr, ExprId> numbers_;
  std::vector<const Expr*> list_;
};

}  // namespace tenon::grammar::schema
