#include "text/output/message.hpp"

namespace tenon::output {

void Message::add(const Delta& delta) {
  switch (delta.kind) {
    case Delta::Kind::reasoning:
      reasoning += delta.text;
      break;
    case Delta::Kind::content:
      content += delta.text;
      break;
    case Delta::Kind::call_begin:
      calls.push_back({delta.id, delta.name, ""});
      break;
    case Delta::Kind::arguments:
      if (delta.index < calls.size()) calls[delta.index].arguments += delta.text;
  }
}

Value Message::to_value() const {
  Value::Object out{{"role", "assistant"}};
  out.emplace_back("content", content.empty() && !calls.empty() ? Value() : Value(content));
  if (!reasoning.empty()) out.emplace_back("reasoning_content", reasoning);
  if (calls.empty()) return Value(std::move(out));
  Value::Array list;
  for (const ToolCall& call : calls) {
    Value::Object function{{"name", call.name}, {"arguments", call.arguments}};
    list.emplace_back(Value::Object{{"id", call.id}, {"type", "function"}, {"function", Value(std::move(function))}});
  }
  out.emplace_back("tool_calls", Value(std::move(list)));
  return Value(std::move(out));
}

}  // namespace tenon::output
