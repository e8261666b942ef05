// How tool calls are written within their markers. Each function takes the text between the markers and gives all calls
// of it, or nothing when any part is not as it should be: then the text is no call.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "text/output/message.hpp"

namespace tenon::output {

using Calls = std::optional<std::vector<ToolCall>>;

/// The tools that the model was given, to tell numbers from texts where the syntax does not.
class Tools {
 public:
  Tools() = default;
  /// OpenAI's list of {type, function: {name, parameters}}, or null.
  explicit Tools(const Value& tools) : tools_(tools) {}
  /// JSON of a value that is written as plain text.
  std::string typed(std::string_view tool, std::string_view parameter, std::string_view text) const;

 private:
  const Value* type_of(std::string_view tool, std::string_view parameter) const;
  Value tools_;
};

enum class Syntax {
  any,         // whichever of json, functions, and keys it is
  json,        // {"name": ..., "arguments": {...}}, one or several, or a list of them
  named_json,  // [{"name": {arguments}}, ...]
  functions,   // <function=name><parameter=key>value</parameter></function>, or JSON in place of the parameters
  keys,        // name <arg_key>key</arg_key><arg_value>value</arg_value>
  invokes,     // <invoke name="..."><parameter name="...">value</parameter></invoke>, tags possibly prefixed
  arguments,   // name [CALL_ID]id [ARGS]{...}, or json
  separated,   // <call begin>type<separator>name ```json {...}``` <call end>, or name<separator>{...}
  indexed,     // <call begin>functions.name:0<argument begin>{...}<call end>
  pythonic,    // [f(a=1, b="x"), ...]
  code,        // json, or x.call(key="value")
};
Calls parse_calls(Syntax syntax, std::string_view body, const Tools& tools);

}  // namespace tenon::output
