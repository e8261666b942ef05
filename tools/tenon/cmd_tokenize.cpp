// tenon tokenize, tenon detokenize: text to ids and back, for models and bare vocabulary files.
#include <memory>

#include "commands.hpp"
#include "options.hpp"

namespace tenon::tool {

namespace {

struct VocabularyOptions {
  std::string model, pre, special;
  bool nfc = false;
  PluginOptions plugins;  // accepted as everywhere; no plugin is needed here

  api::Text load() const {
    if (!pre.empty() || !special.empty() || nfc)
      fail(
          ErrorCode::unsupported,
          "[tokenizer] --pre, --special and --nfc belong to bare vocabulary files of kinds that are not supported yet");
    return api::Text::load(resolve_model(model));
  }
};

void add_vocabulary_options(CLI::App& command, VocabularyOptions& o) {
  command.add_option("MODEL", o.model, "Model, vocabulary-only GGUF or bare tokenizer file")->required();
  command.add_option("--pre", o.pre, "Name of the pre-tokenizer of a bare file")->type_name("NAME");
  command.add_option("--special", o.special, "Special tokens of a bare file: JSON, token -> id")->type_name("FILE");
  command.add_flag("--nfc", o.nfc, "Normalise to NFC first");
  add_plugin_options(command, o.plugins);
}

struct TokenizeOptions {
  VocabularyOptions vocabulary;
  std::string file, text;
  bool no_special = false, parse_special = false, lines = false;
  CLI::App* command = nullptr;
};

std::string ids_line(const std::vector<int32_t>& ids) { return to_json(Value::Array(ids.begin(), ids.end())) + "\n"; }

int tokenize(const TokenizeOptions& o) {
  if ((o.command->count("--file") > 0) == (o.command->count("TEXT") > 0))
    fail(ErrorCode::usage, "[tokenize] one of TEXT and --file FILE");
  const api::EncodeOptions encode{.add_special = !o.no_special, .parse_special = o.parse_special};
  const api::Text text = o.vocabulary.load();
  const std::string input = o.command->count("--file") ? read_input(o.file) : o.text;
  if (!o.lines) {
    write_out(ids_line(text.encode(input, encode)));
    return 0;
  }
  for (size_t at = 0, line = 1; at < input.size(); ++line) {
    const size_t end = std::min(input.find('\n', at), input.size());
    const std::string place = o.file + " line " + std::to_string(line);
    const Value value = parse_json(std::string_view(input).substr(at, end - at), place);
    if (!value.is_string()) fail(ErrorCode::usage, "[{}] no JSON string", place);
    write_out(ids_line(text.encode(value.as_string(), encode)));
    at = end + 1;
  }
  return 0;
}

struct DetokenizeOptions {
  VocabularyOptions vocabulary;
  std::string ids;
};

int detokenize(const DetokenizeOptions& o) {
  const std::vector<int32_t> ids = o.ids.empty() ? std::vector<int32_t>() : parse_ids(o.ids, "--ids");
  const std::string text = o.vocabulary.load().decode(ids);
  write_out(o.vocabulary.plugins.json ? to_json(text) + "\n" : text);
  return 0;
}

}  // namespace

void add_tokenize(CLI::App& app, Commands& commands) {
  auto o = std::make_shared<TokenizeOptions>();
  CLI::App* c = o->command = app.add_subcommand("tokenize", "Print the ids of a text as a JSON array");
  add_vocabulary_options(*c, o->vocabulary);
  c->add_option("TEXT", o->text, "The text");
  c->add_option("--file", o->file, "The text; - reads standard input")->type_name("FILE");
  c->add_flag("--no-special", o->no_special, "Without the tokens the model wants around a text");
  c->add_flag("--parse-special", o->parse_special, "Special tokens spelled in the text become their ids");
  c->add_flag("--lines", o->lines, "Each line of the file is a JSON string; print one array per line");
  commands.emplace_back(c, [o] { return tokenize(*o); });
}

void add_detokenize(CLI::App& app, Commands& commands) {
  auto o = std::make_shared<DetokenizeOptions>();
  CLI::App* c = app.add_subcommand("detokenize", "Print the exact bytes of ids; with --json a JSON string");
  add_vocabulary_options(*c, o->vocabulary);
  c->add_option("--ids", o->ids, "The ids")->required()->type_name("1,2,3");
  commands.emplace_back(c, [o] { return detokenize(*o); });
}

}  // namespace tenon::tool
