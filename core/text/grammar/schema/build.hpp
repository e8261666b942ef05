// From what schemas allow to a grammar's nodes.
#pragma once

#include <map>
#include <vector>

#include "text/grammar/grammar.hpp"
#include "text/grammar/schema/reader.hpp"

namespace tenon::grammar::schema {

class Builder {
 public:
  explicit Builder(const Value& root);
  Grammar build();

 private:
  struct KeyClass {
    DfaPtr keys;
    std::vector<const Dfa*> within;  // of the shape's languages
  };

  NodeId node(ExprId expr);
  void fill(ExprId expr, NodeId id);
  void add_scalars(const Form& form, std::vector<NodeId>& out);
  NodeId string_node(const Strings& strings);
  NodeId array_node(const ArrayShape& shape);
  NodeId distinct_node(const ArrayShape& shape);
  void add_objects(const ObjectShape& shape, std::vector<NodeId>& out);
  std::vector<KeyClass> key_classes(const ObjectShape& shape, const Object& named) const;
  ExprId rest_expr(const ObjectShape& shape, const KeyClass& keys);
  void require_some(const ObjectShape& shape, const std::vector<KeyClass>& classes, Object object, size_t at,
                    std::vector<NodeId>& out);

  Reader reader_;
  Grammar grammar_;
  std::map<ExprId, NodeId> nodes_;
  std::vector<std::pair<ExprId, NodeId>> open_;
  DfaPtr any_text_, any_number_;
};

}  // namespace tenon::grammar::schema
