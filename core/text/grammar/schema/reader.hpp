// Reads schemas: each becomes the set of values it allows.
#pragma once

#include <map>
#include <set>
#include <string_view>

#include "text/grammar/numbers.hpp"
#include "text/grammar/schema/document.hpp"
#include "text/grammar/schema/form.hpp"

namespace tenon::grammar::schema {

class Reader {
 public:
  explicit Reader(const Value& root) : document_(root), forms_(exprs_) {}

  ExprId root() { return exprs_.schema(document_.root()); }
  /// The values that fulfil an expression. Errors as from_json_schema.
  const Form& form(ExprId expr);
  Exprs& exprs() { return exprs_; }
  const Forms& forms() const { return forms_; }

 private:
  Form of_schema(const Value& schema);
  Form of_constant(const Value& value);
  Form of_type(const Value& schema, std::string_view type) const;
  void check_keywords(const Value& schema) const;
  [[noreturn]] void unsupported(const Value& schema, std::string_view keyword, std::string_view why) const;
  [[noreturn]] void broken(const Value& schema, std::string_view keyword, std::string_view what) const;

  Form assertions(const Value& schema);
  Form types(const Value& schema) const;
  DfaPtr number_language(const Value& schema, bool integer_only) const;
  Strings string_language(const Value& schema) const;
  ArrayShape array_shape(const Value& schema);
  ArrayPart items_part(const Value& schema);
  ObjectShape object_shape(const Value& schema);
  ObjectPart properties_part(const Value& schema);
  void dependencies(const Value& schema, ObjectShape& out) const;
  void collect_evaluated(const Value& schema, ObjectPart& part, bool& all, int depth) const;

  Form combinators(const Value& schema, Form form);
  Form one_of(const Value::Array& options);
  bool disjoint(const Form& a, const Form& b);
  Form conditional(const Value& schema, const Value& condition);
  Form dependent_schemas(const Value& schemas, Form form);
  Form enumeration(const Value::Array& values);

  uint32_t count(const Value& schema, std::string_view keyword, uint32_t otherwise) const;
  std::optional<std::string> number(const Value& schema, std::string_view keyword) const;
  const Value::Array& schemas(const Value& schema, std::string_view keyword) const;
  DfaPtr pattern(const Value& schema, std::string_view keyword, const std::string& text) const;
  Form form_of(const Value& schema) { return form(exprs_.schema(schema)); }

  Document document_;
  Exprs exprs_;
  Forms forms_;
  std::map<ExprId, Form> made_;
  std::set<ExprId> open_;
};

}  // namespace tenon::grammar::schema
