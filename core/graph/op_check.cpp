// Operand and attribute checks of the op catalogue.
#include "graph/op_check.hpp"

#include <cmath>

namespace tenon {

namespace {
bool all_finite(const AttrValue& value) {
  if (const double* d = std::get_if<double>(&value)) return std::isfinite(*d);
  if (const auto* list = std::get_if<std::vector<double>>(&value))
    for (double d : *list)
      if (!std::isfinite(d)) return false;
  return true;
}
}  // namespace

OpCheck::OpCheck(Graph& graph, Node& node, std::initializer_list<AttrDecl> attrs) : graph_(graph), node_(node) {
  for (const auto& [key, value] : node.attrs) {
    const AttrDecl* decl = nullptr;
    for (const AttrDecl& d : attrs)
      if (d.key == key) decl = &d;
    if (!decl) bad("attribute \"{}\" is not one of this op's", key);
    if (value.index() != static_cast<size_t>(decl->kind))
      bad("attribute \"{}\" is {}, expected {}", key, attr_kind_name(value.index()),
          attr_kind_name(static_cast<size_t>(decl->kind)));
    if (!all_finite(value)) bad("attribute \"{}\" is not finite", key);
  }
  for (const AttrDecl& d : attrs)
    if (d.need == Need::required && !node.attrs.contains(d.key)) bad("attribute \"{}\" is missing", d.key);
}

void OpCheck::fail_text(const std::string& text) const {
  fail(ErrorCode::bad_plugin, "[{}] {}, at {}", node_.op, text, location_text(node_.at));
}

const GraphValue& OpCheck::operand(size_t i, std::string_view name) const {
  if (!has(i)) bad("operand {} ({}) is absent", i, name);
  return graph_.value(node_.inputs[i]);
}

const Shape& OpCheck::f32(size_t i, std::string_view name) const {
  const GraphValue& v = operand(i, name);
  if (v.kind == ValueKind::weight) bad("operand {} ({}) is a weight, expected a computed value", i, name);
  if (v.elem != Elem::f32) bad("operand {} ({}) is i32 {}, expected f32", i, name, shape_text(v.shape));
  if (v.shape.empty()) bad("operand {} ({}) has rank 0, expected at least 1", i, name);
  return v.shape;
}

const Shape& OpCheck::i32(size_t i, std::string_view name) const {
  const GraphValue& v = operand(i, name);
  if (v.kind == ValueKind::weight) bad("operand {} ({}) is a weight, expected i32", i, name);
  if (v.elem != Elem::i32) bad("operand {} ({}) is f32 {}, expected i32", i, name, shape_text(v.shape));
  return v.shape;
}

const Shape& OpCheck::weight(size_t i, std::string_view name) const {
  const GraphValue& v = operand(i, name);
  if (v.kind != ValueKind::weight) bad("operand {} ({}) is computed, expected a weight", i, name);
  return v.shape;
}

const Shape& OpCheck::f32_or_weight(size_t i, std::string_view name) const {
  return operand(i, name).kind == ValueKind::weight ? weight(i, name) : f32(i, name);
}

void OpCheck::rank(const Shape& shape, std::string_view name, size_t want) const {
  if (shape.size() != want) bad("{} {} has rank {}, expected {}", name, shape_text(shape), shape.size(), want);
}

void OpCheck::weight_is(size_t i, std::string_view name, const Shape& want) const {
  if (!has(i)) return;
  const Shape& shape = weight(i, name);
  if (shape != want) bad("{} {} does not match the expected {}", name, shape_text(shape), shape_text(want));
}

void OpCheck::same(const Shape& a, std::string_view a_name, const Shape& b, std::string_view b_name) const {
  if (a != b) bad("{} {} does not match {} {}", a_name, shape_text(a), b_name, shape_text(b));
}

void OpCheck::result(Elem elem, Shape shape) {
  if (shape.size() > kMaxRank) bad("result {} has rank {}, the limit is {}", shape_text(shape), shape.size(), kMaxRank);
  int64_t elements = 1;
  for (int64_t d : shape) {
    if (d < 0) continue;
    if (d == 0) bad("result {} has an empty dimension", shape_text(shape));
    if (__builtin_mul_overflow(elements, d, &elements) || elements > kMaxElements)
      bad("result {} has more than {} elements", shape_text(shape), kMaxElements);
  }
  GraphValue value;
  value.elem = elem;
  value.shape = std::move(shape);
  node_.outputs.push_back(graph_.add_value(std::move(value)));
}

}  // namespace tenon
