// Which layers look back over a window only, and which over everything: config.json's `layer_types`, GGUF's
// attention.sliding_window_pattern, or the architecture's own rule.
#pragma once

#include <functional>
#include <tenon/graph.hpp>

namespace tenon {
inline namespace v0 {

/// A list of config.json or GGUF with an entry for each layer, or an error that names it.
inline std::vector<bool> checked_layers(const Meta& m, Key key, std::vector<bool> layers, int64_t n_layers) {
  if (static_cast<int64_t>(layers.size()) < n_layers)
    throw Refusal("[config] " + m.name(key) + " has " + std::to_string(layers.size()) + " entries for " +
                  std::to_string(n_layers) + " layers");
  return layers;
}

/// By layer: whether it slides. `otherwise` is the architecture's rule for files that do not say; a file may also give
/// a period n, of which each n-th layer is full.
inline std::vector<bool> sliding_layers(const Meta& m, int64_t n_layers,
                                        const std::function<bool(int64_t)>& otherwise) {
  std::vector<bool> sliding;
  if (const Key types = {"layer_types"}; m.has(types)) {
    for (const std::string& type : m.texts(types)) {
      if (type != "sliding_attention" && type != "full_attention")
        throw Refusal("[config] layer_types holds " + type + ", known are sliding_attention and full_attention");
      sliding.push_back(type == "sliding_attention");
    }
    return checked_layers(m, types, sliding, n_layers);
  }
  const Key pattern = {"sliding_window_pattern", "attention.sliding_window_pattern"};
  if (m.type(pattern) == TN_TYPE_ARRAY) {
    for (int64_t flag : m.ints(pattern)) sliding.push_back(flag != 0);
    return checked_layers(m, pattern, sliding, n_layers);
  }
  const int64_t period = m.get_count(pattern, 0);
  for (int64_t i = 0; i < n_layers; ++i) sliding.push_back(period ? (i + 1) % period != 0 : otherwise(i));
  return sliding;
}

}  // namespace v0
}  // namespace tenon
