#include "text/output/call_syntax.hpp"

#include <algorithm>

#include "text/output/json_scan.hpp"
#include "text/output/pythonic.hpp"

namespace tenon::output {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

/// Takes `text` apart at markers.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}
  bool take(std::string_view marker) {
    if (!rest_.starts_with(marker)) return false;
    rest_.remove_prefix(marker.size());
    return true;
  }
  /// The text before the marker, which is taken too.
  std::optional<std::string_view> until(std::string_view marker) {
    const size_t at = rest_.find(marker);
    if (at == std::string_view::npos) return std::nullopt;
    const std::string_view before = rest_.substr(0, at);
    rest_.remove_prefix(at + marker.size());
    return before;
  }
  void skip_space() { rest_.remove_prefix(std::min(rest_.find_first_not_of(kSpace), rest_.size())); }
  std::optional<std::string_view> json() {
    size_t at = 0;
    const auto value = take_value(rest_, at);
    if (value) rest_.remove_prefix(at);
    return value;
  }
  bool done() {
    skip_space();
    return rest_.empty();
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 256 && name.find_first_of("<>{}[]\"'`\n\t ") == std::string_view::npos;
}

std::optional<ToolCall> checked(std::string_view id, std::string_view name, std::string_view arguments) {
  name = trimmed(name);
  arguments = trimmed(arguments);
  if (arguments.empty()) arguments = "{}";
  if (!is_name(name) || !is_object(arguments)) return std::nullopt;
  return ToolCall{std::string(trimmed(id)), std::string(name), std::string(arguments)};
}

std::optional<ToolCall> json_call(std::string_view text, bool inner = false) {
  auto fields = members(text);
  if (!fields) return std::nullopt;
  std::string name, id;
  std::string arguments;
  for (const auto& [key, raw] : *fields) {
    if (key == "function" && raw.starts_with('{') && !inner) return json_call(raw, true);  // the API's own shape
    if (key == "name" || key == "function") name = string_of(raw).value_or("");
    if (key == "id") id = string_of(raw).value_or("");
    if (key == "arguments" || key == "parameters")
      arguments = raw.starts_with('"') ? string_of(raw).value_or("?") : std::string(raw);
  }
  return checked(id, name, arguments);
}

Calls json_calls(std::string_view body) {
  std::vector<ToolCall> out;
  Cursor cursor(body);
  while (!cursor.done()) {
    const auto value = cursor.json();
    if (!value) return std::nullopt;
    const auto list = value->starts_with('[') ? items(*value) : std::optional(std::vector{*value});
    if (!list) return std::nullopt;
    for (std::string_view item : *list) {
      auto call = json_call(item);
      if (!call) return std::nullopt;
      out.push_back(std::move(*call));
    }
    cursor.skip_space();
    cursor.take(";") || cursor.take(",");
  }
  return out.empty() ? Calls() : Calls(std::move(out));
}

Calls named_json_calls(std::string_view body) {
  std::vector<ToolCall> out;
  const auto list = items(trimmed(body));
  if (!list) return std::nullopt;
  for (std::string_view item : *list) {
    const auto fields = members(item);
    if (!fields || fields->size() != 1) return std::nullopt;
    auto call = checked("", fields->front().first, fields->front().second);
    if (!call) return std::nullopt;
    out.push_back(std::move(*call));
  }
  return out.empty() ? Calls() : Calls(std::move(out));
}

/// Values on lines of their own are written between two newlines.
std::string_view unpadded(std::string_view value) {
  if (value.size() >= 2 && value.front() == '\n' && value.back() == '\n') return value.substr(1, value.size() - 2);
  return value;
}

class Arguments {
 public:
  void add(std::string_view key, std::string_view json) {
    text_ += (text_.empty() ? "{" : ", ") + to_json(std::string(key)) + ": " + std::string(json);
  }
  std::string text() const { return text_.empty() ? "{}" : text_ + "}"; }

 private:
  std::string text_;
};

Calls function_calls(std::string_view body, const Tools& tools) {
  std::vector<ToolCall> out;
  for (Cursor cursor(body); !cursor.done();) {
    if (!cursor.take("<function=")) return std::nullopt;
    const auto name = cursor.until(">");
    if (!name) return std::nullopt;
    Arguments arguments;
    cursor.skip_space();
    std::optional<ToolCall> call;
    if (cursor.rest().starts_with('{')) {
      const auto json = cursor.json();
      call = json ? checked("", *name, *json) : std::nullopt;
      cursor.skip_space();
    } else {
      for (; cursor.take("<parameter="); cursor.skip_space()) {
        const auto key = cursor.until(">"), value = key ? cursor.until("</parameter>") : std::nullopt;
        if (!value) return std::nullopt;
        arguments.add(*key, tools.typed(*name, *key, unpadded(*value)));
      }
      call = checked("", *name, arguments.text());
    }
    if (!call || !cursor.take("</function>")) return std::nullopt;
    out.push_back(std::move(*call));
  }
  return out.empty() ? Calls() : Calls(std::move(out));
}

Calls key_call(std::string_view body, const Tools& tools) {
  Cursor cursor(body);
  cursor.skip_space();
  const std::string_view name = trimmed(cursor.rest().substr(0, cursor.rest().find_first_of("\n<")));
  cursor.take(name);
  Arguments arguments;
  for (cursor.skip_space(); cursor.take("<arg_key>"); cursor.skip_space()) {
    const auto key = cursor.until("</arg_key>");
    cursor.skip_space();
    if (!key || !cursor.take("<arg_value>")) return std::nullopt;
    const auto value = cursor.until("</arg_value>");
    if (!value) return std::nullopt;
    arguments.add(trimmed(*key), tools.typed(name, trimmed(*key), *value));
  }
  auto call = checked("", name, arguments.text());
  if (!call || !cursor.done()) return std::nullopt;
  return Calls({std::move(*call)});
}

/// name="..." of a tag's inside.
std::optional<std::string_view> attribute(std::string_view tag, std::string_view name) {
  const size_t at = tag.find(std::string(name) + "=\"");
  if (at == std::string_view::npos) return std::nullopt;
  tag.remove_prefix(at + name.size() + 2);
  const size_t end = tag.find('"');
  return end == std::string_view::npos ? std::nullopt : std::optional(tag.substr(0, end));
}

Calls invoke_calls(std::string_view body, const Tools& tools) {
  std::vector<ToolCall> out;
  const size_t tag = body.find("invoke name=");
  const size_t open = tag == std::string_view::npos ? tag : body.rfind('<', tag);
  if (open == std::string_view::npos) return std::nullopt;
  const std::string prefix(body.substr(open + 1, tag - open - 1));  // of all tags
  const auto marker = [&](const char* before, const char* after) { return before + prefix + after; };
  for (Cursor cursor(body); !cursor.done();) {
    if (!cursor.take(marker("<", "invoke "))) return std::nullopt;
    const auto head = cursor.until(">");
    const auto name = head ? attribute(*head, "name") : std::nullopt;
    if (!name) return std::nullopt;
    Arguments arguments;
    for (cursor.skip_space(); cursor.take(marker("<", "parameter ")); cursor.skip_space()) {
      const auto about = cursor.until(">"), value = about ? cursor.until(marker("</", "parameter>")) : std::nullopt;
      const auto key = about ? attribute(*about, "name") : std::nullopt;
      if (!key || !value) return std::nullopt;
      const auto is_text = attribute(*about, "string");
      const bool json = is_text && *is_text == "false" && is_json(*value);
      arguments.add(*key, json                            ? std::string(*value)
                          : is_text && *is_text == "true" ? to_json(std::string(*value))
                                                          : tools.typed(*name, *key, unpadded(*value)));
    }
    auto call = checked("", *name, arguments.text());
    if (!call || !cursor.take(marker("</", "invoke>"))) return std::nullopt;
    out.push_back(std::move(*call));
  }
  return out.empty() ? Calls() : Calls(std::move(out));
}

Calls argument_call(std::string_view body) {
  if (trimmed(body).starts_with('[') || trimmed(body).starts_with('{')) return json_calls(body);
  Cursor cursor(body);
  const auto head = cursor.until("[ARGS]");
  if (!head) return std::nullopt;
  Cursor name(*head);
  const auto before_id = name.until("[CALL_ID]");
  auto call = checked(before_id ? name.rest() : "", before_id ? *before_id : *head, cursor.rest());
  return call ? Calls({std::move(*call)}) : std::nullopt;
}

constexpr std::string_view kCallBegin = "<｜tool▁call▁begin｜>", kCallEnd = "<｜tool▁call▁end｜>",
                           kSeparator = "<｜tool▁sep｜>";

Calls separated_calls(std::string_view body) {
  std::vector<ToolCall> out;
  for (Cursor cursor(body); !cursor.done();) {
    if (!cursor.take(kCallBegin)) return std::nullopt;
    const auto inside = cursor.until(kCallEnd);
    if (!inside) return std::nullopt;
    Cursor call(*inside);
    const auto first = call.until(kSeparator);
    if (!first) return std::nullopt;
    const size_t fence = call.rest().find("```json");
    std::optional<ToolCall> made;
    if (fence == std::string_view::npos) {
      made = checked("", *first, call.rest());
    } else {
      std::string_view arguments = trimmed(call.rest().substr(fence + 7));
      if (arguments.ends_with("```")) arguments.remove_suffix(3);
      made = checked("", call.rest().substr(0, fence), arguments);
    }
    if (!made) return std::nullopt;
    out.push_back(std::move(*made));
  }
  return out.empty() ? Calls() : Calls(std::move(out));
}

Calls indexed_calls(std::string_view body) {
  std::vector<ToolCall> out;
  for (Cursor cursor(body); !cursor.done();) {
    if (!cursor.take("<|tool_call_begin|>")) return std::nullopt;
    const auto inside = cursor.until("<|tool_call_end|>");
    if (!inside) return std::nullopt;
    Cursor call(*inside);
    const auto head = call.until("<|tool_call_argument_begin|>");
    if (!head) return std::nullopt;
    std::string_view name = trimmed(*head);
    if (name.starts_with("functions.")) name.remove_prefix(10);
    auto made = checked(*head, name.substr(0, name.rfind(':')), call.rest());
    if (!made) return std::nullopt;
    out.push_back(std::move(*made));
  }
  return out.empty() ? Calls() : Calls(std::move(out));
}

Calls any_calls(std::string_view body, const Tools& tools) {
  const std::string_view text = trimmed(body);
  if (text.starts_with('{') || text.starts_with('[')) return json_calls(body);
  if (text.starts_with("<function=")) return function_calls(body, tools);
  return key_call(body, tools);
}

}  // namespace

const Value* Tools::type_of(std::string_view tool, std::string_view parameter) const {
  if (!tools_.is_array()) return nullptr;
  for (const Value& entry : tools_.as_array()) {
    const Value* function = entry.find("function");
    if (!function) function = &entry;
    const Value *name = function->find("name"), *parameters = function->find("parameters");
    if (!name || !name->is_string() || name->as_string() != tool || !parameters) continue;
    const Value* properties = parameters->find("properties");
    const Value* property = properties ? properties->find(parameter) : nullptr;
    return property ? property->find("type") : nullptr;
  }
  return nullptr;
}

std::string Tools::typed(std::string_view tool, std::string_view parameter, std::string_view text) const {
  const Value* type = type_of(tool, parameter);
  const bool text_type = type && type->is_string() && type->as_string() == "string";
  const std::string_view bare = trimmed(text);
  if (!text_type && is_json(bare)) return std::string(bare);
  return to_json(std::string(text));
}

Calls parse_calls(Syntax syntax, std::string_view body, const Tools& tools) {
  switch (syntax) {
    case Syntax::any:
      return any_calls(body, tools);
    case Syntax::json:
      return json_calls(body);
    case Syntax::named_json:
      return named_json_calls(body);
    case Syntax::functions:
      return function_calls(body, tools);
    case Syntax::keys:
      return key_call(body, tools);
    case Syntax::invokes:
      return invoke_calls(body, tools);
    case Syntax::arguments:
      return argument_call(body);
    case Syntax::separated:
      return separated_calls(body);
    case Syntax::indexed:
      return indexed_calls(body);
    case Syntax::pythonic:
      return pythonic_calls(body);
    case Syntax::code:
      break;
  }
  const Calls json = json_calls(body);
  return json ? json : dotted_call(body);
}

}  // namespace tenon::output
