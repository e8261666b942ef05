// Messages as templates want them: some take only objects as arguments of tool calls, or only texts as contents.
#pragma once

#include <string_view>
#include <vector>

#include "base/value.hpp"

namespace tenon {

/// The same conversation in the shapes that are worth trying, the likeliest first; the last one is as it was given.
///  - arguments of tool calls that are JSON in a string (the API's shape) as objects;
///  - contents that are lists of {type: "text", text} as one text, for templates that never ask what a content is;
///  - null contents as "".
std::vector<Value> message_shapes(const Value& messages, std::string_view chat_template);

}  // namespace tenon
