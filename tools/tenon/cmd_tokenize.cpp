// tenon tokenize, tenon detokenize: text to ids and back, for models and bare vocabulary files.
#include <memory>

#include "commands.hpp"
#include "options.hpp"
#include "vocabulary.hpp"

namespace tenon::tool {

namespace {

struct TokenizeOptions {
  VocabularyOptions vocabulary;
  std::string file, text;
  bool no_special = false, parse_special = false, lines = false;
  CLI::App* command = nullptr;
};

std::string ids_line(const std::vector<int32_t>& ids) { return to_json(Value::Array(ids.begin(), ids.end())) + "\n"; }

/// Calls `act` with the JSON value of each line of a file.
template <typename Act>
void for_each_line(const std::string& file, const Act& act) {
  const std::string input = read_input(file);
  for (size_t at = 0, line = 1; at < input.size(); ++line) {
    const size_t end = std::min(input.find('\n', at), input.size());
    const std::string place = file + " line " + std::to_string(line);
    act(parse_json(std::string_view(input).substr(at, end - at), place), place);
    at = end + 1;
  }
}

int tokenize(const TokenizeOptions& o) {
  if ((o.command->count("--file") > 0) == (o.command->count("TEXT") > 0))
    fail(ErrorCode::usage, "[tokenize] one of TEXT and --file FILE");
  if (o.lines && o.file.empty()) fail(ErrorCode::usage, "[tokenize] --lines needs --file FILE");
  const api::EncodeOptions encode{.add_special = !o.no_special, .parse_special = o.parse_special};
  const api::Text text = o.vocabulary.load();
  if (!o.lines) {
    write_out(ids_line(text.encode(o.file.empty() ? o.text : read_input(o.file), encode)));
    return 0;
  }
  for_each_line(o.file, [&](const Value& value, const std::string& place) {
    if (!value.is_string()) fail(ErrorCode::usage, "[{}] no JSON string", place);
    write_out(ids_line(text.encode(value.as_string(), encode)));
  });
  return 0;
}

struct DetokenizeOptions {
  VocabularyOptions vocabulary;
  std::string ids, file;
  CLI::App* command = nullptr;
};

std::vector<int32_t> ids_of(const Value& line, const std::string& place) {
  if (!line.is_array()) fail(ErrorCode::usage, "[{}] no JSON array of ids", place);
  std::vector<int32_t> ids;
  for (const Value& id : line.as_array()) {
    if (!id.is_int() || id.as_int() < 0 || id.as_int() > INT32_MAX)
      fail(ErrorCode::usage, "[{}] id {} is no number of 0 to {}", place, ids.size(), INT32_MAX);
    ids.push_back(static_cast<int32_t>(id.as_int()));
  }
  return ids;
}

int detokenize(const DetokenizeOptions& o) {
  if ((o.command->count("--ids") > 0) == (o.command->count("--file") > 0))
    fail(ErrorCode::usage, "[detokenize] one of --ids IDS and --file FILE");
  const api::Text text = o.vocabulary.load();
  if (!o.file.empty()) {
    for_each_line(o.file, [&](const Value& line, const std::string& place) {
      write_out(to_json(text.decode(ids_of(line, place))) + "\n");
    });
    return 0;
  }
  const std::string out = text.decode(o.ids.empty() ? std::vector<int32_t>() : parse_ids(o.ids, "--ids"));
  write_out(o.vocabulary.plugins.json ? to_json(out) + "\n" : out);
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
  CLI::App* c = o->command =
      app.add_subcommand("detokenize", "Print the exact bytes of ids; with --json a JSON string");
  add_vocabulary_options(*c, o->vocabulary);
  c->add_option("--ids", o->ids, "The ids")->type_name("1,2,3");
  c->add_option("--file", o->file, "A JSON array of ids on each line; print one JSON string per line")
      ->type_name("FILE");
  commands.emplace_back(c, [o] { return detokenize(*o); });
}

}  // namespace tenon::tool
