#include "text/grammar/schema/form.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "text/grammar/numbers.hpp"

namespace tenon::grammar::schema {
namespace {

constexpr size_t kMaxShapes = 2048;

DfaPtr share(Dfa dfa) { return std::make_shared<const Dfa>(std::move(dfa)); }

const DfaPtr& nothing() {
  static const DfaPtr empty = share(Dfa());
  return empty;
}

Strings no_strings() { return {nothing()}; }

Strings both_strings(const Strings& a, const Strings& b) {
  Strings out{a.content ? a.content : b.content, std::max(a.min, b.min), std::min(a.max, b.max)};
  if (a.content && b.content && a.content != b.content) out.content = share(intersect(*a.content, *b.content));
  return out.empty() ? no_strings() : out;
}

Strings either_strings(const Strings& a, const Strings& b) {
  if (a.any() || b.empty()) return a;
  if (b.any() || a.empty()) return b;
  return {share(unite(a.language(), b.language()))};
}

template <class Shape>
void check(const std::vector<Shape>& shapes) {
  if (shapes.size() > kMaxShapes)
    fail(ErrorCode::capacity, "[schema] {} alternatives of one type, more than {}", shapes.size(), kMaxShapes);
}

template <class T>
void append(std::vector<T>& out, const std::vector<T>& more) {
  out.insert(out.end(), more.begin(), more.end());
}

ArrayShape both_shapes(const ArrayShape& a, const ArrayShape& b) {
  ArrayShape out = a;
  append(out.parts, b.parts);
  append(out.contains, b.contains);
  out.min = std::max(a.min, b.min);
  out.max = std::min(a.max, b.max);
  out.unique = a.unique || b.unique;
  return out;
}

ObjectShape both_shapes(const ObjectShape& a, const ObjectShape& b) {
  ObjectShape out = a;
  append(out.parts, b.parts);
  append(out.names, b.names);
  append(out.some, b.some);
  out.required.insert(b.required.begin(), b.required.end());
  for (const auto& [key, needs] : b.needs) out.needs[key].insert(needs.begin(), needs.end());
  out.min = std::max(a.min, b.min);
  out.max = std::min(a.max, b.max);
  return out;
}

template <class Shape>
std::vector<Shape> both_alternatives(const std::vector<Shape>& a, const std::vector<Shape>& b) {
  std::vector<Shape> out;
  for (const Shape& x : a)
    for (const Shape& y : b) {
      Shape both = both_shapes(x, y);
      if (both.min <= both.max) out.push_back(std::move(both));
      check(out);
    }
  return out;
}

}  // namespace

Dfa Strings::language() const {
  if (min == 0 && max == kUnbounded) return content ? *content : any_text();
  const Dfa lengths = text_of_length(min, max);
  return content ? intersect(*content, lengths) : lengths;
}

Form Form::all() {
  Form f;
  f.null = f.no = f.yes = true;
  f.arrays.emplace_back();
  f.objects.emplace_back();
  return f;
}

Form Form::none() {
  Form f;
  f.numbers = nothing();
  f.strings = no_strings();
  return f;
}

bool Form::empty() const {
  return !null && !no && !yes && numbers && numbers->empty() && strings.empty() && arrays.empty() && objects.empty();
}

Form Forms::both(const Form& a, const Form& b) const {
  Form out;
  out.null = a.null && b.null;
  out.no = a.no && b.no;
  out.yes = a.yes && b.yes;
  out.numbers = a.numbers ? a.numbers : b.numbers;
  if (a.numbers && b.numbers && a.numbers != b.numbers) out.numbers = share(intersect(*a.numbers, *b.numbers));
  out.strings = both_strings(a.strings, b.strings);
  out.arrays = both_alternatives(a.arrays, b.arrays);
  out.objects = both_alternatives(a.objects, b.objects);
  // A key that must be there and cannot: tagged unions mostly end here.
  std::erase_if(out.objects, [&](const ObjectShape& shape) {
    return std::any_of(shape.required.begin(), shape.required.end(),
                       [&](const std::string& key) { return member(shape, key) == kFalse; });
  });
  return out;
}

Form Forms::either(const Form& a, const Form& b) const {
  Form out;
  out.null = a.null || b.null;
  out.no = a.no || b.no;
  out.yes = a.yes || b.yes;
  if (a.numbers && b.numbers)
    out.numbers = a.numbers->empty()   ? b.numbers
                  : b.numbers->empty() ? a.numbers
                                       : share(unite(*a.numbers, *b.numbers));
  out.strings = either_strings(a.strings, b.strings);
  out.arrays = a.arrays;
  append(out.arrays, b.arrays);
  out.objects = a.objects;
  append(out.objects, b.objects);
  check(out.arrays);
  check(out.objects);
  return out;
}

Form Forms::negation(const Form& form) const {
  Form out;
  out.null = !form.null;
  out.no = !form.no;
  out.yes = !form.yes;
  out.numbers = !form.numbers           ? nothing()
                : form.numbers->empty() ? nullptr
                                        : share(subtract(canonical_numbers(), *form.numbers));
  if (form.strings.any())
    out.strings = no_strings();
  else if (!form.strings.empty())
    out.strings = {share(subtract(any_text(), form.strings.language()))};
  out.arrays.emplace_back();
  for (const ArrayShape& shape : form.arrays) out.arrays = both_alternatives(out.arrays, without(shape));
  out.objects.emplace_back();
  for (const ObjectShape& shape : form.objects) out.objects = both_alternatives(out.objects, without(shape));
  return out;
}

std::vector<ArrayShape> Forms::without(const ArrayShape& shape) const {
  if (shape.unique) fail(ErrorCode::unsupported, "[schema] uniqueItems under not, oneOf or if cannot be enforced");
  std::vector<ArrayShape> out;
  if (shape.min > 0) out.push_back({.max = shape.min - 1});
  if (shape.max != kUnbounded) out.push_back({.min = shape.max + 1});
  for (const ArrayPart& part : shape.parts) {
    for (size_t i = 0; i < part.prefix.size(); ++i) {
      if (part.prefix[i] == kTrue) continue;
      ArrayPart against{std::vector<ExprId>(i, kTrue)};
      against.prefix.push_back(exprs_.negation(part.prefix[i]));
      out.push_back({.parts = {std::move(against)}, .min = static_cast<uint32_t>(i + 1)});
    }
    if (part.rest == kFalse)
      out.push_back({.min = static_cast<uint32_t>(part.prefix.size() + 1)});
    else if (part.rest != kTrue)
      out.push_back({.contains = {{exprs_.negation(part.rest), part.prefix.size()}}});
  }
  for (const Contains& c : shape.contains) {
    if (c.min > 0) out.push_back({.contains = {{c.expr, c.from, 0, c.min - 1}}});
    if (c.max != kUnbounded) out.push_back({.contains = {{c.expr, c.from, c.max + 1, kUnbounded}}});
  }
  return out;
}

void Forms::without_part(const ObjectPart& part, std::vector<ObjectShape>& out) const {
  for (const auto& [key, expr] : part.properties) {
    if (expr == kTrue) continue;
    out.push_back({.parts = {{.properties = {{key, exprs_.negation(expr)}}}}, .required = {key}});
  }
  for (const auto& [keys, expr] : part.patterns) {
    if (expr == kTrue) continue;
    if (expr != kFalse)
      fail(ErrorCode::unsupported, "[schema] patternProperties under not, oneOf or if cannot be enforced");
    out.push_back({.some = {keys}});
  }
  if (part.additional == kTrue) return;
  if (part.additional != kFalse)
    fail(ErrorCode::unsupported, "[schema] additionalProperties under not, oneOf or if cannot be enforced");
  Dfa others = any_text();
  for (const auto& [key, expr] : part.properties) others = subtract(others, literal(key));
  for (const auto& [keys, expr] : part.patterns) others = subtract(others, *keys);
  out.push_back({.some = {share(std::move(others))}});
}

std::vector<ObjectShape> Forms::without(const ObjectShape& shape) const {
  std::vector<ObjectShape> out;
  const auto absent = [](const std::string& key) { return ObjectPart{.properties = {{key, kFalse}}}; };
  if (shape.min > 0) out.push_back({.max = shape.min - 1});
  if (shape.max != kUnbounded) out.push_back({.min = shape.max + 1});
  for (const std::string& key : shape.required) out.push_back({.parts = {absent(key)}});
  for (const auto& [key, needs] : shape.needs)
    for (const std::string& need : needs) out.push_back({.parts = {absent(need)}, .required = {key}});
  for (const DfaPtr& names : shape.names) out.push_back({.some = {share(subtract(any_text(), *names))}});
  for (const DfaPtr& some : shape.some) out.push_back({.names = {share(subtract(any_text(), *some))}});
  for (const ObjectPart& part : shape.parts) without_part(part, out);
  return out;
}

ExprId Forms::member(const ObjectShape& shape, const std::string& key) const {
  std::vector<ExprId> all;
  for (const DfaPtr& names : shape.names)
    if (!accepts(*names, key)) return kFalse;
  for (const ObjectPart& part : shape.parts) {
    const auto property = part.properties.find(key);
    bool known = property != part.properties.end();
    if (known) all.push_back(property->second);
    for (const auto& [keys, expr] : part.patterns)
      if (accepts(*keys, key)) all.push_back(expr), known = true;
    if (!known) all.push_back(part.additional);
  }
  return exprs_.conjunction(std::move(all));
}

ExprId Forms::item(const ArrayShape& shape, size_t index) const {
  std::vector<ExprId> all;
  for (const ArrayPart& part : shape.parts) all.push_back(part.item(index));
  return exprs_.conjunction(std::move(all));
}

}  // namespace tenon::grammar::schema
