// What a schema itself says of strings, numbers, arrays and objects.
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "text/grammar/formats.hpp"
#include "text/grammar/regex.hpp"
#include "text/grammar/schema/reader.hpp"

namespace tenon::grammar::schema {
namespace {

constexpr std::string_view kHints[] = {
#define ASSERTION(NAME)
#define ANNOTATION(NAME)
#define HINT(NAME) NAME,
#include "text/grammar/schema/keywords.def"
#undef ASSERTION
#undef ANNOTATION
#undef HINT
};

DfaPtr share(Dfa dfa) { return std::make_shared<const Dfa>(std::move(dfa)); }

bool is_true(const Value* value) { return value && value->is_bool() && value->as_bool(); }

}  // namespace

uint32_t Reader::count(const Value& schema, std::string_view keyword, uint32_t otherwise) const {
  const Value* value = schema.find(keyword);
  if (!value) return otherwise;
  const bool whole =
      value->is_number() && value->as_double() >= 0 && value->as_double() == std::floor(value->as_double());
  if (!whole) broken(schema, keyword, "no whole number from 0 on");
  return static_cast<uint32_t>(std::min(value->as_double(), double{kUnbounded - 1}));
}

std::optional<std::string> Reader::number(const Value& schema, std::string_view keyword) const {
  const Value* value = schema.find(keyword);
  if (!value || value->is_bool()) return std::nullopt;
  if (!value->is_number()) broken(schema, keyword, "no number");
  return to_json(*value);
}

DfaPtr Reader::pattern(const Value& schema, std::string_view keyword, const std::string& text) const {
  try {
    return share(regex_search(text));
  } catch (const Error& e) {
    fail(e.code(), "[schema] at {}: keyword '{}': {}", document_.pointer(schema), keyword, e.what());
  }
}

Form Reader::assertions(const Value& schema) {
  Form form = types(schema);
  const bool any_number = !form.numbers;
  if (any_number || !form.numbers->empty()) form.numbers = number_language(schema, !any_number);
  if (!form.strings.empty()) form.strings = string_language(schema);
  if (!form.arrays.empty()) form.arrays = {array_shape(schema)};
  if (!form.objects.empty()) form.objects = {object_shape(schema)};
  std::erase_if(form.arrays, [](const ArrayShape& s) { return s.min > s.max; });
  std::erase_if(form.objects, [](const ObjectShape& s) { return s.min > s.max; });
  return form;
}

DfaPtr Reader::number_language(const Value& schema, bool integer_only) const {
  NumberRange range;
  range.integer = integer_only;
  range.minimum = number(schema, "minimum");
  range.maximum = number(schema, "maximum");
  range.multiple_of = number(schema, "multipleOf");
  range.exclusive_minimum = is_true(schema.find("exclusiveMinimum"));  // draft 4
  range.exclusive_maximum = is_true(schema.find("exclusiveMaximum"));
  DfaPtr out;
  if (range.minimum || range.maximum || range.multiple_of || range.integer) out = share(numbers(range));
  const auto low = number(schema, "exclusiveMinimum"), high = number(schema, "exclusiveMaximum");
  if (!low && !high) return out;
  NumberRange open;
  open.integer = integer_only;
  open.minimum = low;
  open.maximum = high;
  open.exclusive_minimum = open.exclusive_maximum = true;
  return share(out ? intersect(*out, numbers(open)) : numbers(open));
}

Strings Reader::string_language(const Value& schema) const {
  Strings out{nullptr, count(schema, "minLength", 0), count(schema, "maxLength", kUnbounded)};
  const auto both = [&](DfaPtr more) { out.content = out.content ? share(intersect(*out.content, *more)) : more; };
  if (const Value* text = schema.find("pattern")) {
    if (!text->is_string()) broken(schema, "pattern", "no text");
    both(pattern(schema, "pattern", text->as_string()));
  }
  if (const Value* name = schema.find("format")) {
    if (!name->is_string()) broken(schema, "format", "no text");
    const std::string& text = name->as_string();
    if (std::find(std::begin(kHints), std::end(kHints), text) != std::end(kHints)) return out;
    auto language = format(text);
    if (!language) unsupported(schema, "format", "names '" + text + "', which cannot be enforced");
    both(share(std::move(*language)));
  }
  return out;
}

ArrayPart Reader::items_part(const Value& schema) {
  ArrayPart part;
  const Value *prefix = schema.find("prefixItems"), *items = schema.find("items");
  const bool old_tuple = !prefix && items && items->is_array();  // until draft 2019-09
  if (old_tuple) {
    prefix = items;
    items = schema.find("additionalItems");
  }
  if (prefix) {
    if (!prefix->is_array()) broken(schema, "prefixItems", "no list of schemas");
    for (const Value& item : prefix->as_array()) part.prefix.push_back(exprs_.schema(item));
  }
  if (items) part.rest = exprs_.schema(*items);
  if (const Value* rest = schema.find("unevaluatedItems"); rest && !items) {
    for (const char* keyword : {"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "contains"})
      if (schema.find(keyword))
        unsupported(schema, "unevaluatedItems", std::string("beside ") + keyword + " cannot be enforced");
    part.rest = exprs_.schema(*rest);
  }
  return part;
}

ArrayShape Reader::array_shape(const Value& schema) {
  ArrayShape out;
  ArrayPart part = items_part(schema);
  if (!part.prefix.empty() || part.rest != kTrue) out.parts.push_back(std::move(part));
  out.min = count(schema, "minItems", 0);
  out.max = count(schema, "maxItems", kUnbounded);
  out.unique = is_true(schema.find("uniqueItems"));
  if (const Value* contains = schema.find("contains"))
    out.contains.push_back(
        {exprs_.schema(*contains), 0, count(schema, "minContains", 1), count(schema, "maxContains", kUnbounded)});
  return out;
}

ObjectPart Reader::properties_part(const Value& schema) {
  ObjectPart part;
  if (const Value* properties = schema.find("properties")) {
    if (!properties->is_object()) broken(schema, "properties", "no object");
    for (const auto& [key, value] : properties->as_object()) part.properties[key] = exprs_.schema(value);
  }
  if (const Value* patterns = schema.find("patternProperties")) {
    if (!patterns->is_object()) broken(schema, "patternProperties", "no object");
    for (const auto& [text, value] : patterns->as_object())
      part.patterns.emplace_back(pattern(schema, "patternProperties", text), exprs_.schema(value));
  }
  if (const Value* additional = schema.find("additionalProperties")) part.additional = exprs_.schema(*additional);
  return part;
}

// Names that other schemas of the same instance look at.
void Reader::collect_evaluated(const Value& schema, ObjectPart& part, bool& all, int depth) const {
  constexpr int kMaxDepth = 32;
  if (!schema.is_object() || depth > kMaxDepth) return;
  all = all || schema.find("additionalProperties") || (depth > 0 && schema.find("unevaluatedProperties"));
  for (const char* keyword : {"anyOf", "oneOf", "if", "dependentSchemas", "$dynamicRef"})
    if (schema.find(keyword))
      unsupported(schema, "unevaluatedProperties", std::string("over ") + keyword + " cannot be enforced");
  if (const Value* properties = schema.find("properties"); properties && properties->is_object())
    for (const auto& [key, value] : properties->as_object()) part.properties[key] = kTrue;
  if (const Value* patterns = schema.find("patternProperties"); patterns && patterns->is_object())
    for (const auto& [text, value] : patterns->as_object())
      part.patterns.emplace_back(pattern(schema, "patternProperties", text), kTrue);
  if (const Value* list = schema.find("allOf"); list && list->is_array())
    for (const Value& more : list->as_array()) collect_evaluated(more, part, all, depth + 1);
  if (const Value* reference = schema.find("$ref"); reference && reference->is_string())
    collect_evaluated(document_.resolve(reference->as_string(), schema), part, all, depth + 1);
}

void Reader::dependencies(const Value& schema, ObjectShape& out) const {
  for (const char* keyword : {"dependentRequired", "dependencies"}) {
    const Value* all = schema.find(keyword);
    if (!all) continue;
    if (!all->is_object()) broken(schema, keyword, "no object");
    for (const auto& [key, needs] : all->as_object()) {
      if (!needs.is_array()) continue;
      for (const Value& need : needs.as_array()) {
        if (!need.is_string()) broken(schema, keyword, "no object of lists of names");
        out.needs[key].insert(need.as_string());
      }
    }
  }
}

ObjectShape Reader::object_shape(const Value& schema) {
  ObjectShape out;
  ObjectPart part = properties_part(schema);
  if (!part.properties.empty() || !part.patterns.empty() || part.additional != kTrue)
    out.parts.push_back(std::move(part));
  if (const Value* rest = schema.find("unevaluatedProperties")) {
    ObjectPart evaluated{.additional = exprs_.schema(*rest)};
    bool all = false;
    collect_evaluated(schema, evaluated, all, 0);
    if (!all) out.parts.push_back(std::move(evaluated));
  }
  if (const Value* required = schema.find("required"); required && !required->is_bool()) {
    if (!required->is_array()) broken(schema, "required", "no list of names");
    for (const Value& key : required->as_array()) {
      if (!key.is_string()) broken(schema, "required", "no list of names");
      out.required.insert(key.as_string());
    }
  }
  out.min = count(schema, "minProperties", 0);
  out.max = count(schema, "maxProperties", kUnbounded);
  if (const Value* names = schema.find("propertyNames"))
    if (const Strings texts = form_of(*names).strings; !texts.any()) out.names.push_back(share(texts.language()));
  dependencies(schema, out);
  return out;
}

}  // namespace tenon::grammar::schema
