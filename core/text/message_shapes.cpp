#include "text/message_shapes.hpp"

#include <algorithm>
#include <optional>

#include "base/error.hpp"

namespace tenon {
namespace {

Value* member(Value::Object& object, std::string_view key) {
  const auto it = std::find_if(object.begin(), object.end(), [&](const auto& m) { return m.first == key; });
  return it == object.end() ? nullptr : &it->second;
}

std::optional<Value> parsed_object(const Value& text) {
  try {
    Value value = parse_json(text.as_string(), "arguments");
    if (value.is_object()) return value;
  } catch (const Error&) {
  }
  return std::nullopt;
}

/// True when something changed.
bool open_arguments(Value::Object& message) {
  Value* calls = member(message, "tool_calls");
  if (!calls || !calls->is_array()) return false;
  bool changed = false;
  Value::Array list = calls->as_array();
  for (Value& call : list) {
    if (!call.is_object()) continue;
    Value::Object fields = call.as_object();
    Value* function = member(fields, "function");
    if (!function || !function->is_object()) continue;
    Value::Object inner = function->as_object();
    Value* arguments = member(inner, "arguments");
    auto value = arguments && arguments->is_string() ? parsed_object(*arguments) : std::nullopt;
    if (!value) continue;
    *arguments = std::move(*value);
    *function = Value(std::move(inner));
    call = Value(std::move(fields));
    changed = true;
  }
  if (changed) *calls = Value(std::move(list));
  return changed;
}

/// One text of a list of texts; nothing when there is anything else in it.
std::optional<std::string> joined(const Value::Array& parts) {
  std::string out;
  for (const Value& part : parts) {
    const Value *type = part.find("type"), *text = part.find("text");
    if (!type || !type->is_string() || type->as_string() != "text" || !text || !text->is_string()) return std::nullopt;
    out += (out.empty() ? "" : "\n") + text->as_string();
  }
  return out;
}

bool join_contents(Value::Object& message) {
  Value* content = member(message, "content");
  const auto text = content && content->is_array() ? joined(content->as_array()) : std::nullopt;
  if (!text) return false;
  *content = Value(*text);
  return true;
}

bool fill_contents(Value::Object& message) {
  Value* content = member(message, "content");
  if (!content || !content->is_null()) return false;
  *content = Value("");
  return true;
}

/// A copy with `change` applied to each message, appended when anything changed.
template <class Change>
void add_changed(const Value& messages, Change change, std::vector<Value>& out) {
  bool changed = false;
  Value::Array list = messages.as_array();
  for (Value& message : list) {
    if (!message.is_object()) continue;
    Value::Object fields = message.as_object();
    if (!change(fields)) continue;
    message = Value(std::move(fields));
    changed = true;
  }
  if (changed) out.emplace_back(std::move(list));
}

}  // namespace

std::vector<Value> message_shapes(const Value& messages, std::string_view chat_template) {
  std::vector<Value> out;
  if (messages.is_array()) {
    const auto asks = [&](std::string_view text) { return chat_template.find(text) != std::string_view::npos; };
    const bool lists = asks("is string") || asks("is not string") || asks("is iterable") || asks(".type") ||
                       asks("['type']") || asks("[\"type\"]") || asks("is sequence");
    const bool nulls = asks("is none") || asks("is not none");
    const auto contents = [&](Value::Object& m) {
      const bool list = !lists && join_contents(m);
      const bool null = !nulls && fill_contents(m);
      return list || null;
    };
    add_changed(
        messages,
        [&](Value::Object& m) {
          const bool arguments = open_arguments(m);
          return contents(m) || arguments;
        },
        out);
    add_changed(messages, contents, out);
    add_changed(
        messages,
        [](Value::Object& m) {
          const bool arguments = open_arguments(m), list = join_contents(m);
          return fill_contents(m) || arguments || list;
        },
        out);
  }
  out.push_back(messages);
  return out;
}

}  // namespace tenon
