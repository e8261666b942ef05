// tenon parse: a model's answer taken apart into reasoning, content and tool calls.
#include <memory>

#include "commands.hpp"
#include "options.hpp"

namespace tenon::tool {

namespace {

struct ParseOptions {
  std::string model, template_file, text, tools, prompt;
  PluginOptions plugins;  // accepted as everywhere; no plugin is needed here
  CLI::App* command = nullptr;

  bool given(const char* flag) const { return command->count(flag) > 0; }
};

int parse(const ParseOptions& o) {
  if (o.given("MODEL") == o.given("--template")) fail(ErrorCode::usage, "[parse] one of MODEL and --template FILE");
  output::ParserOptions options;
  if (o.given("--tools")) options.tools = read_json(o.tools);
  if (o.given("--prompt")) options.prompt = read_input(o.prompt);
  const std::string source = o.given("--template")
                                 ? read_input(o.template_file)
                                 : api::Text::load(resolve_model(o.model)).template_source({.tools = options.tools});
  write_out(to_json(output::parse_output(source, read_input(o.text), options).to_value()) + "\n");
  return 0;
}

}  // namespace

void add_parse(CLI::App& app, Commands& commands) {
  auto o = std::make_shared<ParseOptions>();
  CLI::App* c = o->command = app.add_subcommand("parse", "Take an answer apart: reasoning, content, tool calls");
  c->add_option("MODEL", o->model, "Model whose chat template says how answers are written");
  c->add_option("--template", o->template_file, "That template, without a model")->type_name("FILE");
  c->add_option("--text", o->text, "The answer, special tokens spelled; - reads standard input")
      ->type_name("FILE")
      ->required();
  c->add_option("--tools", o->tools, "JSON array of tool definitions")->type_name("FILE");
  c->add_option("--prompt", o->prompt, "The prompt: its end may have opened the reasoning")->type_name("FILE");
  add_plugin_options(*c, o->plugins);
  commands.emplace_back(c, [o] { return parse(*o); });
}

}  // namespace tenon::tool
