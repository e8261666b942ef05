#include "vocabulary.hpp"

namespace tenon::tool {

void add_vocabulary_options(CLI::App& command, VocabularyOptions& o) {
  command.add_option("MODEL", o.model, "Model, vocabulary-only GGUF or bare tokenizer file")->required();
  command.add_option("--pre", o.pre, "Name of the pre-tokenizer of a bare file")->type_name("NAME");
  command.add_option("--special", o.special, "Special tokens of a bare file: JSON, token -> id")->type_name("FILE");
  command.add_flag("--nfc", o.nfc, "Normalise to NFC first");
  add_plugin_options(command, o.plugins);
}

}  // namespace tenon::tool
