// The flags that choose a vocabulary: of a model, a GGUF without weights, or a bare tokenizer file.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "api/tenon.hpp"
#include "options.hpp"

namespace tenon::tool {

struct VocabularyOptions {
  std::string model, pre, special;
  bool nfc = false;
  PluginOptions plugins;  // accepted as everywhere; no plugin is needed here

  api::Text load() const { return api::Text::load(resolve_model(model), {.pre = pre, .special = special, .nfc = nfc}); }
};
void add_vocabulary_options(CLI::App& command, VocabularyOptions& options);

}  // namespace tenon::tool
