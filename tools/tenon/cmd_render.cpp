// tenon render: the prompt that a chat template makes of a conversation; or any template over any context.
#include <memory>

#include "commands.hpp"
#include "options.hpp"
#include "template_options.hpp"

namespace tenon::tool {

namespace {

struct RenderOptions {
  std::string model, messages, template_file, context, now;
  TemplateOptions chat;
  bool no_generation_prompt = false;
  PluginOptions plugins;  // accepted as everywhere; no plugin is needed here
  CLI::App* command = nullptr;

  bool given(const char* flag) const { return command->count(flag) > 0; }
};

/// Byte for byte, or as one JSON string.
int print(const RenderOptions& o, const std::string& prompt) {
  write_out(o.plugins.json ? to_json(prompt) + "\n" : prompt);
  return 0;
}

int render_any(const RenderOptions& o) {
  if (!o.given("--template") || !o.given("--context") || o.given("MODEL") || o.given("--tools"))
    fail(ErrorCode::usage, "[render] MODEL with --messages, or --template with --context");
  return print(o, api::render_template(read_input(o.template_file), read_json(o.context), o.now));
}

int render(const RenderOptions& o) {
  if (!o.given("MODEL") || !o.given("--messages")) return render_any(o);
  api::RenderOptions options = o.chat.read();
  options.generation_prompt = !o.no_generation_prompt;
  options.now = o.now;
  const Value messages = read_json(o.messages);
  return print(o, api::Text::load(resolve_model(o.model)).render(messages, options));
}

}  // namespace

void add_render(CLI::App& app, Commands& commands) {
  auto o = std::make_shared<RenderOptions>();
  CLI::App* c = o->command = app.add_subcommand("render", "Print the prompt that a chat template makes");
  c->add_option("MODEL", o->model, "Directory with config.json, .gguf file, or name of a model in the cache");
  c->add_option("--messages", o->messages, "JSON array of messages")->type_name("FILE");
  add_template_options(*c, o->chat);
  c->add_flag("--no-generation-prompt", o->no_generation_prompt, "Do not open the assistant's turn");
  c->add_option("--template", o->template_file, "Render this template, without a model")->type_name("FILE");
  c->add_option("--context", o->context, "JSON object: the template's variables")->type_name("FILE");
  c->add_option("--now", o->now, "The clock, as in \"2026-11-23 12:00:00\"")->type_name("TIME");
  add_plugin_options(*c, o->plugins);
  commands.emplace_back(c, [o] { return render(*o); });
}

}  // namespace tenon::tool
