#include "text/grammar/schema/build.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "text/grammar/numbers.hpp"
#include "text/grammar/regex.hpp"

namespace tenon::grammar::schema {
namespace {

constexpr size_t kMaxPrefix = 10000, kMaxNodes = 100000;
constexpr uint32_t kMaxItems = 1u << 24;

DfaPtr share(Dfa dfa) { return std::make_shared<const Dfa>(std::move(dfa)); }

bool uses(const std::vector<const Dfa*>& within, const DfaPtr& language) {
  return std::find(within.begin(), within.end(), language.get()) != within.end();
}

}  // namespace

Builder::Builder(const Value& root) : reader_(root), any_text_(share(any_text())), any_number_(share(numbers({}))) {
  grammar_.whitespace = share(regex("[ \\t\\n\\r]{0,40}"));
}

Grammar Builder::build() {
  const NodeId value = node(reader_.root());
  while (!open_.empty()) {
    const auto [expr, id] = open_.back();
    open_.pop_back();
    fill(expr, id);
  }
  grammar_.root = value == kNoNode ? grammar_.add(Choice{})
                                   : grammar_.add(Sequence{{grammar_.add(Bytes{grammar_.whitespace}), value}});
  return std::move(grammar_);
}

NodeId Builder::node(ExprId expr) {
  if (expr == kFalse) return kNoNode;
  const auto [it, added] = nodes_.try_emplace(expr, kNoNode);
  if (!added) return it->second;
  if (grammar_.nodes.size() > kMaxNodes) fail(ErrorCode::capacity, "[schema] more than {} nodes", kMaxNodes);
  it->second = grammar_.add(Choice{});
  open_.emplace_back(expr, it->second);
  return it->second;
}

void Builder::fill(ExprId expr, NodeId id) {
  const Form& form = reader_.form(expr);
  std::vector<NodeId> options;
  add_scalars(form, options);
  for (const ArrayShape& shape : form.arrays) options.push_back(array_node(shape));
  for (const ObjectShape& shape : form.objects) add_objects(shape, options);
  std::erase(options, kNoNode);
  std::get<Choice>(grammar_.nodes[id]).options = std::move(options);
}

void Builder::add_scalars(const Form& form, std::vector<NodeId>& out) {
  std::vector<std::string_view> words;
  if (form.null) words.push_back("null");
  if (form.no) words.push_back("false");
  if (form.yes) words.push_back("true");
  if (!words.empty()) out.push_back(grammar_.add(Bytes{share(literals(words))}));
  if (!form.numbers)
    out.push_back(grammar_.add(Bytes{any_number_}));
  else if (!form.numbers->empty())
    out.push_back(grammar_.add(Bytes{form.numbers}));
  if (!form.strings.empty()) out.push_back(string_node(form.strings));
}

NodeId Builder::string_node(const Strings& strings) {
  if (!strings.content) return grammar_.add(JsonString{any_text_, strings.min, strings.max});
  return grammar_.add(
      JsonString{strings.min == 0 && strings.max == kUnbounded ? strings.content : share(strings.language())});
}

NodeId Builder::array_node(const ArrayShape& shape) {
  if (shape.unique && shape.max > 1) return distinct_node(shape);
  if (shape.min > kMaxItems) fail(ErrorCode::capacity, "[schema] {} items, more than {}", shape.min, kMaxItems);
  std::vector<Contains> contains = shape.contains;
  std::erase_if(contains, [](const Contains& c) { return c.min == 0 && c.max == kUnbounded; });
  if (contains.size() > 1)
    fail(ErrorCode::unsupported, "[schema] keyword 'contains' twice for one array cannot be enforced");
  size_t n = contains.empty() ? 0 : contains[0].from;
  for (const ArrayPart& part : shape.parts) n = std::max(n, part.prefix.size());
  n = std::min<size_t>(n, shape.max);
  if (n > kMaxPrefix) fail(ErrorCode::capacity, "[schema] {} items in a row, more than {}", n, kMaxPrefix);

  Exprs& exprs = reader_.exprs();
  Array array{.min_items = shape.min,
              .max_items = shape.max == kUnbounded ? kUnbounded : std::min(shape.max, kMaxItems)};
  const auto item_at = [&](size_t i) {
    const ExprId item = reader_.forms().item(shape, i);
    if (contains.empty() || i < contains[0].from) return Array::Item{node(item), kNoNode};
    const Contains& c = contains[0];
    const ExprId other = c.max == kUnbounded ? item : exprs.conjunction({item, exprs.negation(c.expr)});
    return Array::Item{node(other), node(exprs.conjunction({item, c.expr}))};
  };
  for (size_t i = 0; i < n; ++i) array.prefix.push_back(item_at(i));
  array.rest = item_at(n);
  if (!contains.empty()) {
    array.min_matching = contains[0].min;
    array.max_matching = contains[0].max == kUnbounded ? kUnbounded : std::min(contains[0].max, kMaxItems - 1);
  }
  return grammar_.add(std::move(array));
}

// Items of which there are only a few, each at most once.
NodeId Builder::distinct_node(const ArrayShape& shape) {
  const auto refuse = [](const char* why) {
    fail(ErrorCode::unsupported, "[schema] keyword 'uniqueItems' cannot be enforced {}", why);
  };
  for (const ArrayPart& part : shape.parts)
    if (!part.prefix.empty()) refuse("beside prefixItems");
  if (!shape.contains.empty()) refuse("beside contains");
  const Form& form = reader_.form(reader_.forms().item(shape, 0));
  if (!form.arrays.empty() || !form.objects.empty()) refuse("where items may be arrays or objects");
  static const Dfa once = subtract(regex("-?(0|[1-9][0-9]{0,19})(\\.[0-9]{0,19}[1-9])?"), literal("-0"));
  const Dfa numbers = form.numbers ? intersect(*form.numbers, once) : once;
  const Dfa texts = form.strings.content || form.strings.max < 2 ? form.strings.language() : any_text();
  if (count_words(numbers, kMaxDistinct + 1) + count_words(texts, kMaxDistinct + 1) + 3 > kMaxDistinct)
    refuse("where items are not of a short list of values");
  Array array{.min_items = shape.min, .max_items = shape.max};
  for (const auto& [there, word] : {std::pair(form.null, "null"), {form.no, "false"}, {form.yes, "true"}})
    if (there) array.distinct.push_back(grammar_.add(Bytes{share(literal(word))}));
  for (const std::string& number : some_words(numbers, kMaxDistinct))
    array.distinct.push_back(grammar_.add(Bytes{share(intersect(number_equal_to(number), *form.numbers))}));
  for (const std::string& text : some_words(texts, kMaxDistinct))
    array.distinct.push_back(grammar_.add(JsonString{share(literal(text))}));
  if (array.distinct.empty()) array.rest = {}, array.max_items = 0;
  return grammar_.add(std::move(array));
}

void Builder::add_objects(const ObjectShape& shape, std::vector<NodeId>& out) {
  Object object{.min_properties = shape.min, .max_properties = shape.max};
  std::set<std::string> names = shape.required;
  for (const ObjectPart& part : shape.parts)
    for (const auto& [key, expr] : part.properties) names.insert(key);
  for (const auto& [key, needs] : shape.needs) {
    names.insert(key);
    names.insert(needs.begin(), needs.end());
  }
  std::map<std::string, uint32_t> index;
  for (const std::string& name : names) {
    index[name] = static_cast<uint32_t>(object.properties.size());
    object.properties.push_back({name, node(reader_.forms().member(shape, name)), shape.required.contains(name)});
  }
  for (const auto& [key, needs] : shape.needs) {
    Object::Dependency dependency{index[key], {}};
    for (const std::string& need : needs) dependency.needs.push_back(index[need]);
    object.dependencies.push_back(std::move(dependency));
  }
  const std::vector<KeyClass> classes = key_classes(shape, object);
  for (const KeyClass& keys : classes) object.rest.push_back({keys.keys, node(rest_expr(shape, keys))});
  require_some(shape, classes, std::move(object), 0, out);
}

/// Keys of no name, apart where any of the shape's languages tells them apart.
std::vector<Builder::KeyClass> Builder::key_classes(const ObjectShape& shape, const Object& named) const {
  std::vector<std::string_view> names;
  for (const Object::Property& p : named.properties) names.push_back(p.name);
  Dfa others = names.empty() ? any_text() : subtract(any_text(), literals(names));
  for (const DfaPtr& allowed : shape.names) others = intersect(others, *allowed);
  std::vector<KeyClass> classes{{share(std::move(others)), {}}};
  const auto split = [&](const DfaPtr& language) {
    std::vector<KeyClass> next;
    for (const KeyClass& keys : classes) {
      if (uses(keys.within, language)) return;
      KeyClass in{share(intersect(*keys.keys, *language)), keys.within};
      in.within.push_back(language.get());
      KeyClass out{share(subtract(*keys.keys, *language)), keys.within};
      if (!in.keys->empty()) next.push_back(std::move(in));
      if (!out.keys->empty()) next.push_back(std::move(out));
    }
    if (next.size() > 256) fail(ErrorCode::capacity, "[schema] patternProperties overlap in more than 256 ways");
    classes = std::move(next);
  };
  for (const ObjectPart& part : shape.parts)
    for (const auto& [language, expr] : part.patterns) split(language);
  for (const DfaPtr& language : shape.some) split(language);
  std::erase_if(classes, [](const KeyClass& keys) { return keys.keys->empty(); });
  return classes;
}

ExprId Builder::rest_expr(const ObjectShape& shape, const KeyClass& keys) {
  std::vector<ExprId> all;
  for (const ObjectPart& part : shape.parts) {
    bool known = false;
    for (const auto& [language, expr] : part.patterns)
      if (uses(keys.within, language)) all.push_back(expr), known = true;
    if (!known) all.push_back(part.additional);
  }
  return reader_.exprs().conjunction(std::move(all));
}

// "There is a key of this language": one alternative for each name and each class that could be it.
void Builder::require_some(const ObjectShape& shape, const std::vector<KeyClass>& classes, Object object, size_t at,
                           std::vector<NodeId>& out) {
  if (at == shape.some.size()) {
    out.push_back(grammar_.add(std::move(object)));
    return;
  }
  for (size_t i = 0; i < object.properties.size(); ++i) {
    if (!accepts(*shape.some[at], object.properties[i].name) || object.properties[i].value == kNoNode) continue;
    Object with = object;
    with.properties[i].required = true;
    require_some(shape, classes, std::move(with), at + 1, out);
  }
  for (size_t i = 0; i < classes.size(); ++i) {
    if (!uses(classes[i].within, shape.some[at]) || object.rest[i].value == kNoNode) continue;
    Object with = object;
    with.rest[i].required = true;
    require_some(shape, classes, std::move(with), at + 1, out);
  }
}

}  // namespace tenon::grammar::schema

namespace tenon::grammar {

Grammar from_json_schema(const Value& schema) {
  if (!schema.is_bool() && !schema.is_object())
    fail(ErrorCode::usage, "[schema] at #: a schema is an object or a boolean, not {}",
         Value::kind_name(schema.kind()));
  return schema::Builder(schema).build();
}

Grammar any_json(bool object_only) {
  const Value schema = object_only ? Value(Value::Object{{"type", Value("object")}}) : Value(true);
  return from_json_schema(schema);
}

}  // namespace tenon::grammar
