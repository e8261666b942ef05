// Types, combinations and constants. What is said of strings, numbers, arrays and objects: assertions.cpp.
#include "text/grammar/schema/reader.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace tenon::grammar::schema {
namespace {

constexpr std::string_view kKeywords[] = {
#define ASSERTION(NAME) NAME,
#define ANNOTATION(NAME) NAME,
#define HINT(NAME)
#include "text/grammar/schema/keywords.def"
#undef ASSERTION
#undef ANNOTATION
#undef HINT
};

DfaPtr share(Dfa dfa) { return std::make_shared<const Dfa>(std::move(dfa)); }

std::string number_text(const Value& value) { return to_json(value); }

}  // namespace

void Reader::unsupported(const Value& schema, std::string_view keyword, std::string_view why) const {
  fail(ErrorCode::unsupported, "[schema] at {}: keyword '{}' {}", document_.pointer(schema), keyword, why);
}

void Reader::broken(const Value& schema, std::string_view keyword, std::string_view what) const {
  fail(ErrorCode::usage, "[schema] at {}: '{}' is {}", document_.pointer(schema), keyword, what);
}

const Form& Reader::form(ExprId id) {
  if (const auto it = made_.find(id); it != made_.end()) return it->second;
  const Expr& e = exprs_[id];
  if (!open_.insert(id).second)
    fail(ErrorCode::usage, "[schema] {} refers to itself without end",
         e.value ? document_.pointer(*e.value) : "a part");
  Form out = Form::all();
  switch (e.kind) {
    case Expr::Kind::truth:
      break;
    case Expr::Kind::falsity:
      out = Form::none();
      break;
    case Expr::Kind::schema:
      out = of_schema(*e.value);
      break;
    case Expr::Kind::constant:
      out = of_constant(*e.value);
      break;
    case Expr::Kind::negation:
      out = forms_.negation(form(e.parts[0]));
      break;
    case Expr::Kind::conjunction:
      for (ExprId part : e.parts) out = forms_.both(out, form(part));
      break;
    case Expr::Kind::disjunction:
      out = Form::none();
      for (ExprId part : e.parts) out = forms_.either(out, form(part));
  }
  open_.erase(id);
  return made_[id] = std::move(out);
}

void Reader::check_keywords(const Value& schema) const {
  if (!schema.is_object())
    fail(ErrorCode::usage, "[schema] at {}: a schema is an object or a boolean, not {}", document_.pointer(schema),
         Value::kind_name(schema.kind()));
  if (const Value* dialect = schema.find("$schema");
      dialect && (!dialect->is_string() || dialect->as_string().find("json-schema.org/") == std::string::npos))
    unsupported(schema, "$schema", "names another language");
  for (const auto& [key, value] : schema.as_object())
    if (!key.starts_with("x-") && std::find(std::begin(kKeywords), std::end(kKeywords), key) == std::end(kKeywords))
      unsupported(schema, key, "is not known");
}

Form Reader::of_schema(const Value& schema) {
  check_keywords(schema);
  return combinators(schema, assertions(schema));
}

Form Reader::of_constant(const Value& value) {
  Form out = Form::none();
  switch (value.kind()) {
    case Value::Kind::null:
      out.null = true;
      break;
    case Value::Kind::boolean:
      (value.as_bool() ? out.yes : out.no) = true;
      break;
    case Value::Kind::integer:
    case Value::Kind::real:
      out.numbers = share(number_equal_to(number_text(value)));
      break;
    case Value::Kind::string:
      out.strings = {share(literal(value.as_string()))};
      break;
    case Value::Kind::array: {
      ArrayPart part{{}, kFalse};
      for (const Value& item : value.as_array()) part.prefix.push_back(exprs_.constant(item));
      const auto n = static_cast<uint32_t>(part.prefix.size());
      out.arrays.push_back({.parts = {std::move(part)}, .min = n, .max = n});
      break;
    }
    case Value::Kind::object: {
      ObjectShape shape{.parts = {{.additional = kFalse}}};
      for (const auto& [key, member] : value.as_object()) {
        shape.parts[0].properties[key] = exprs_.constant(member);
        shape.required.insert(key);
      }
      out.objects.push_back(std::move(shape));
    }
  }
  return out;
}

Form Reader::enumeration(const Value::Array& values) {
  Form out = Form::none();
  std::vector<std::string_view> texts;
  for (const Value& value : values) {
    if (value.is_string())
      texts.push_back(value.as_string());
    else
      out = forms_.either(out, of_constant(value));
  }
  if (!texts.empty()) out.strings = {share(literals(texts))};
  return out;
}

Form Reader::of_type(const Value& schema, std::string_view type) const {
  Form out = Form::none();
  if (type == "null")
    out.null = true;
  else if (type == "boolean")
    out.no = out.yes = true;
  else if (type == "number")
    out.numbers = nullptr;
  else if (type == "integer")
    out.numbers = share(numbers({.integer = true}));
  else if (type == "string")
    out.strings = {};
  else if (type == "array")
    out.arrays.emplace_back();
  else if (type == "object")
    out.objects.emplace_back();
  else
    broken(schema, "type", "'" + std::string(type) + "', which is none");
  return out;
}

Form Reader::types(const Value& schema) const {
  const Value* type = schema.find("type");
  if (!type) return Form::all();
  const Value* nullable = schema.find("nullable");
  Form out = Form::none();
  out.null = nullable && nullable->is_bool() && nullable->as_bool();
  const auto add = [&](const Value& name) {
    if (!name.is_string()) broken(schema, "type", "neither a name nor a list of names");
    out = forms_.either(out, of_type(schema, name.as_string()));
  };
  if (type->is_array())
    for (const Value& name : type->as_array()) add(name);
  else
    add(*type);
  return out;
}

const Value::Array& Reader::schemas(const Value& schema, std::string_view keyword) const {
  const Value* list = schema.find(keyword);
  if (!list->is_array() || list->as_array().empty()) broken(schema, keyword, "no list of schemas");
  return list->as_array();
}

Form Reader::combinators(const Value& schema, Form form) {
  for (const char* keyword : {"$ref", "$dynamicRef", "$recursiveRef"})
    if (const Value* reference = schema.find(keyword)) {
      if (!reference->is_string()) broken(schema, keyword, "no text");
      const std::string& text = reference->as_string();
      form =
          forms_.both(form, form_of(std::string_view(keyword) == "$dynamicRef" ? document_.resolve_dynamic(text, schema)
                                                                               : document_.resolve(text, schema)));
    }
  if (const Value* value = schema.find("const")) form = forms_.both(form, of_constant(*value));
  if (const Value* values = schema.find("enum")) {
    if (!values->is_array()) broken(schema, "enum", "no list");
    form = forms_.both(form, enumeration(values->as_array()));
  }
  if (schema.find("allOf"))
    for (const Value& part : schemas(schema, "allOf")) form = forms_.both(form, form_of(part));
  if (schema.find("anyOf")) {
    Form any = Form::none();
    for (const Value& part : schemas(schema, "anyOf")) any = forms_.either(any, forms_.both(form, form_of(part)));
    form = std::move(any);
  }
  if (schema.find("oneOf")) form = forms_.both(form, one_of(schemas(schema, "oneOf")));
  if (const Value* not_allowed = schema.find("not"))
    form = forms_.both(form, this->form(exprs_.negation(exprs_.schema(*not_allowed))));
  if (const Value* condition = schema.find("if")) form = forms_.both(form, conditional(schema, *condition));
  for (const char* keyword : {"dependentSchemas", "dependencies"})
    if (const Value* dependent = schema.find(keyword)) {
      if (!dependent->is_object()) broken(schema, keyword, "no object");
      form = dependent_schemas(*dependent, std::move(form));
    }
  return form;
}

// Each option without the others, where they have anything in common.
Form Reader::one_of(const Value::Array& options) {
  Form out = Form::none();
  for (size_t i = 0; i < options.size(); ++i) {
    Form alone = form_of(options[i]);
    for (size_t j = 0; j < options.size(); ++j)
      if (i != j && !disjoint(alone, form_of(options[j])))
        alone = forms_.both(alone, form(exprs_.negation(exprs_.schema(options[j]))));
    out = forms_.either(out, alone);
  }
  return out;
}

// By types and by what objects must have.
bool Reader::disjoint(const Form& a, const Form& b) {
  const Form both = forms_.both(a, b);
  const auto impossible = [&](const ObjectShape& shape) {
    return std::any_of(shape.required.begin(), shape.required.end(), [&](const std::string& key) {
      const ExprId member = forms_.member(shape, key);
      return !open_.contains(member) && form(member).empty();
    });
  };
  const bool objects = std::all_of(both.objects.begin(), both.objects.end(), impossible);
  Form others = both;
  others.objects.clear();
  return objects && others.empty();
}

Form Reader::conditional(const Value& schema, const Value& condition) {
  const ExprId when = exprs_.schema(condition), otherwise = exprs_.negation(when);
  const Value *then = schema.find("then"), *other = schema.find("else");
  if (!then && !other) return Form::all();
  const auto branch = [&](ExprId given, const Value* what) {
    const Form& base = form(given);
    return what ? forms_.both(base, form_of(*what)) : base;
  };
  return forms_.either(branch(when, then), branch(otherwise, other));
}

Form Reader::dependent_schemas(const Value& schemas, Form form) {
  for (const auto& [key, schema] : schemas.as_object()) {
    if (schema.is_array()) continue;  // names: see dependencies()
    Form absent = Form::all(), present = Form::none();
    absent.objects[0].parts.push_back({.properties = {{key, kFalse}}});
    present.objects.push_back({.required = {key}});
    present = forms_.both(present, form_of(schema));
    form = forms_.both(form, forms_.either(absent, present));
  }
  return form;
}

}  // namespace tenon::grammar::schema
