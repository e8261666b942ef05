// What a model wrote, taken apart: the shapes of OpenAI's chat API.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/value.hpp"

namespace tenon::output {

struct ToolCall {
  std::string id, name;
  std::string arguments;  // JSON of an object
};

/// A piece of the message as it becomes known. The pieces of one kind add up to the message's text of that kind.
struct Delta {
  enum class Kind : uint8_t {
    reasoning,
    content,
    call_begin,  // `index`, `id` and `name` of a tool call
    arguments    // `text` belongs to the arguments of the call `index`
  };
  Kind kind = Kind::content;
  std::string text = {};
  size_t index = 0;
  std::string id = {}, name = {};
};
using Deltas = std::vector<Delta>;

struct Message {
  std::string content, reasoning;
  std::vector<ToolCall> calls;

  void add(const Delta& delta);
  /// {role, content, [reasoning_content], [tool_calls]}; content is null beside calls when there is none.
  Value to_value() const;
};

}  // namespace tenon::output
