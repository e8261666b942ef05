// Texts of the IR for messages, and parameter look-up.
#include "graph/ir.hpp"

#include <algorithm>

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
  std::string_view file = at.file;
  if (slash != std::string::npos) file.remove_prefix(slash + 1);
  if (file.empty()) file = "unknown place";
  const std::string place = at.line > 0 ? fmt::format("{}:{}", file, at.line) : std::string(file);
  std::string_view inside = at.scope;
  if (at.layer < 0) return inside.empty() ? place : fmt::format("{} ({})", place, inside);
  const std::string prefix = fmt::format("layers.{}", at.layer);
  if (inside == prefix)
    inside = "";
  else if (inside.starts_with(prefix) && inside[prefix.size()] == '.')
    inside.remove_prefix(prefix.size() + 1);
  return fmt::format("{} (layer {}{}{})", place, at.layer, inside.empty() ? "" : ", ", inside);
}

std::string_view state_kind_name(StateKind kind) {
  switch (kind) {
    case StateKind::kv:
      return "kv";
    case StateKind::conv:
      return "conv";
    case StateKind::recurrent:
      return "recurrent";
    case StateKind::mla_latent:
      return "mla_latent";
  }
  return "unknown";
}

PageGroups page_groups(const Graph& graph) {
  PageGroups groups;
  for (const GraphState& state : graph.states) {
    if (!state.paged()) {
      groups.of_state.push_back(-1);
      continue;
    }
    const auto at = std::find(groups.windows.begin(), groups.windows.end(), state.window);
    groups.of_state.push_back(static_cast<int32_t>(at - groups.windows.begin()));
    if (at == groups.windows.end()) groups.windows.push_back(state.window);
  }
  return groups;
}

int64_t Graph::param_int(std::string_view key) const {
  const auto it = params.find(key);
  if (it == params.end()) fail(ErrorCode::bad_plugin, "[graph] parameter \"{}\" was not declared", key);
  const int64_t* value = std::get_if<int64_t>(&it->second);
  if (!value) fail(ErrorCode::bad_plugin, "[graph] parameter \"{}\" is not an integer", key);
  return *value;
}

}  // namespace tenon
