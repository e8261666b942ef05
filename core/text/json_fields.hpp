// Typed access to members of tokenizer.json's descriptions, with errors that name the member.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/value.hpp"
#include "text/pattern.hpp"

namespace tenon {

inline const Value& json_member(const Value& json, std::string_view key, std::string_view place) {
  const Value* v = json.find(key);
  if (!v) fail(ErrorCode::bad_model, "[{}] member '{}' is missing", place, key);
  return *v;
}

inline std::string json_string(const Value& json, std::string_view key, std::string_view place) {
  const Value& v = json_member(json, key, place);
  if (!v.is_string())
    fail(ErrorCode::bad_model, "[{}] member '{}' is {}, not a string", place, key, Value::kind_name(v.kind()));
  return v.as_string();
}

inline const Value::Array& json_array(const Value& json, std::string_view key, std::string_view place) {
  const Value& v = json_member(json, key, place);
  if (!v.is_array())
    fail(ErrorCode::bad_model, "[{}] member '{}' is {}, not an array", place, key, Value::kind_name(v.kind()));
  return v.as_array();
}

inline bool json_bool(const Value& json, std::string_view key, bool otherwise) {
  const Value* v = json.find(key);
  return v && v->is_bool() ? v->as_bool() : otherwise;
}

/// {"pattern": {"Regex": ...}} or {"pattern": {"String": ...}}.
inline Pattern json_pattern(const Value& json, std::string_view place) {
  const Value& p = json_member(json, "pattern", place);
  if (const Value* regex = p.find("Regex"); regex && regex->is_string()) return Pattern(regex->as_string());
  if (const Value* text = p.find("String"); text && text->is_string()) return Pattern::literal(text->as_string());
  fail(ErrorCode::bad_model, "[{}] 'pattern' holds neither 'Regex' nor 'String'", place);
}

}  // namespace tenon
