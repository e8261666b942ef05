#include "text/grammar/schema/expr.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace tenon::grammar::schema {

Exprs::Exprs() {
  number({Expr::Kind::truth});
  number({Expr::Kind::falsity});
}

ExprId Exprs::number(Expr expr) {
  const auto [it, added] = numbers_.try_emplace(std::move(expr), static_cast<ExprId>(list_.size()));
  if (added) list_.push_back(&it->first);
  if (list_.size() > kMaxExprs) fail(ErrorCode::capacity, "[schema] more than {} combinations of schemas", kMaxExprs);
  return it->second;
}

ExprId Exprs::schema(const Value& schema) {
  if (schema.is_bool()) return schema.as_bool() ? kTrue : kFalse;
  if (schema.is_object() && schema.as_object().empty()) return kTrue;
  return number({Expr::Kind::schema, &schema});
}

ExprId Exprs::constant(const Value& value) { return number({Expr::Kind::constant, &value}); }

ExprId Exprs::negation(ExprId id) {
  if (id <= kFalse) return id == kTrue ? kFalse : kTrue;
  const Expr& e = *list_[id];
  if (e.kind == Expr::Kind::negation) return e.parts[0];
  if (e.kind == Expr::Kind::conjunction || e.kind == Expr::Kind::disjunction) {
    const auto kind = e.kind == Expr::Kind::conjunction ? Expr::Kind::disjunction : Expr::Kind::conjunction;
    std::vector<ExprId> parts = e.parts;
    for (ExprId& part : parts) part = negation(part);
    return joined(kind, std::move(parts));
  }
  return number({Expr::Kind::negation, nullptr, {id}});
}

ExprId Exprs::joined(Expr::Kind kind, std::vector<ExprId> parts) {
  const ExprId neutral = kind == Expr::Kind::conjunction ? kTrue : kFalse;
  std::vector<ExprId> flat;
  for (ExprId part : parts) {
    if (part == neutral) continue;
    if (part <= kFalse) return part;
    const Expr& e = *list_[part];
    if (e.kind == kind)
      flat.insert(flat.end(), e.parts.begin(), e.parts.end());
    else
      flat.push_back(part);
  }
  std::sort(flat.begin(), flat.end());
  flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
  if (flat.empty()) return neutral;
  if (flat.size() == 1) return flat[0];
  for (ExprId part : flat)
    if (const Expr& e = *list_[part];
        e.kind == Expr::Kind::negation && std::binary_search(flat.begin(), flat.end(), e.parts[0]))
      return neutral == kTrue ? kFalse : kTrue;
  return number({kind, nullptr, std::move(flat)});
}

}  // namespace tenon::grammar::schema
