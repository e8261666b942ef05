// The text model inside a checkpoint of several modalities: its part of config.json, its prefix among the tensors, and
// what text alone does not need. In a text-only checkpoint all of it is the text model.
#pragma once

#include <tenon/graph.hpp>

namespace tenon {
inline namespace v0 {

/// Where config.json describes the text model: the object of that name, or the whole file.
inline Meta text_part(const Meta& m) {
  for (const char* object : {"text_config", "llm_config", "language_config"}) {
    if (m.type({object}) != TN_TYPE_OBJECT) continue;
    for (const char* key : {"vision_*", "audio_*", "image_*", "img_*", "video_*", "boi_*", "eoi_*", "boa_*", "eoa_*",
                            "mm_*", "multimodal_*", "projector_*", "spatial_merge_size", "*_token_index"})
      m.ignore({key}, "of other modalities");
    return m.under(object);
  }
  return m;
}

/// The HF names of the text model's tensors: a prefix of its body ("model."), and its head.
struct TextNames {
  std::string body, head;
};
inline TextNames text_names(const Meta& m, const std::string& embedding = "embed_tokens") {
  const auto stored = [&](const std::string& name) { return !m.tensor_shape(name + ".weight").empty(); };
  const std::string inner = "language_model.";
  for (const std::string& body : {"model." + inner, inner + "model."})
    if (stored(body + embedding)) return {body, stored(inner + "lm_head") ? inner + "lm_head" : "lm_head"};
  return {stored(embedding) ? "" : "model.", "lm_head"};  // a body saved alone has no prefix
}

/// Tensors of the other modalities' towers and of what joins them to the text.
inline void ignore_other_modalities(Graph& g) {
  for (const std::string outer : {"", "model."})
    for (const char* tower : {"vision_tower.*", "vision_model.*", "visual.*", "audio_tower.*",
                              "multi_modal_projector.*", "mm_projector.*", "embed_vision.*", "embed_audio.*"})
      g.ignore_tensors({outer + tower, ""}, "of other modalities");
}

}  // namespace v0
}  // namespace tenon
