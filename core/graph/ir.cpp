// Texts of the IR for messages, and parameter look-up.
#include "graph/ir.hpp"

#include "base/error.hpp"

namespace tenon {

std::string shape_text(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i) text += ", ";
    if (shape[i] == kDimTokens)
      text += "tokens";
    else if (shape[i] == kDimRows)
      text += "rows";
    else
      text += std::to_string(shape[i]);
  }
  return text + "]";
}

std::string location_text(const Location& at) {
  const size_t slash = at.file.find_last_of('/');
  std::string text = slash == std::string::npos ? at.file : at.file.substr(slash + 1);
  if (text.empty()) text = "unknown place";
  if (at.line > 0) text += ":" + std::to_string(at.line);
  std::string inside = at.scope;
  if (at.layer >= 0) {
    const std::string layer = std::to_string(at.layer);
    const std::string prefix = "layers." + layer;
    if (inside == prefix || inside.starts_with(prefix + ".")) inside.erase(0, prefix.size() + 1);
    inside = "layer " + layer + (inside.empty() ? "" : ", " + inside);
  }
  return inside.empty() ? text : text + " (" + inside + ")";
}

int64_t Graph::param_int(std::string_view key) const {
  const auto it = params.find(key);
  if (it == params.end()) fail(ErrorCode::bad_plugin, "[graph] parameter \"{}\" was not declared", key);
  const int64_t* value = std::get_if<int64_t>(&it->second);
  if (!value) fail(ErrorCode::bad_plugin, "[graph] parameter \"{}\" is not an integer", key);
  return *value;
}

}  // namespace tenon
