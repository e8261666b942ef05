// What the infer functions of ops/ share: operands by kind, attribute checks, errors that say where.
#pragma once

#include <initializer_list>

#include "graph/attrs.hpp"
#include "graph/catalogue.hpp"

namespace tenon {

enum class AttrKind : uint8_t { integer, real, string, integers, reals };  // in the order of AttrValue
enum class Need : uint8_t { optional, required };
struct AttrDecl {
  std::string_view key;
  AttrKind kind;
  Need need = Need::optional;
};

inline constexpr size_t kMaxRank = 8;
inline constexpr int64_t kMaxElements = int64_t{1} << 48;  // of the literal dimensions together

class OpCheck {
 public:
  /// Refuses attributes that are not declared here, lack, have another kind, or are not finite.
  OpCheck(Graph& graph, Node& node, std::initializer_list<AttrDecl> attrs);

  bool has(size_t i) const { return i < node_.inputs.size() && node_.inputs[i] != 0; }
  /// The shape of operand `i`, which must be there and be of that kind; `name` is the contract's.
  const Shape& f32(size_t i, std::string_view name) const;     // computed, f32
  const Shape& i32(size_t i, std::string_view name) const;     // computed or an input, i32
  const Shape& weight(size_t i, std::string_view name) const;  // a weight
  const Shape& f32_or_weight(size_t i, std::string_view name) const;
  void rank(const Shape& shape, std::string_view name, size_t want) const;
  /// Operand `i`, when present, is a weight of shape `want`.
  void weight_is(size_t i, std::string_view name, const Shape& want) const;
  void same(const Shape& a, std::string_view a_name, const Shape& b, std::string_view b_name) const;
  double finite(std::string_view key, double fallback) const { return attr_or<double>(node_, key, fallback); }

  /// Appends a result of this shape.
  void result(Elem elem, Shape shape);

  /// "[tenon.op/1] <text>, at file:line (layer, scope)"
  template <typename... Args>
  [[noreturn]] void bad(fmt::format_string<Args...> format, Args&&... args) const {
    fail_text(fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  [[noreturn]] void fail_text(const std::string& text) const;
  const GraphValue& operand(size_t i, std::string_view name) const;
  Graph& graph_;
  Node& node_;
};

/// A shape with its last dimension replaced.
inline Shape with_last(Shape shape, int64_t last) {
  shape.back() = last;
  return shape;
}

}  // namespace tenon
