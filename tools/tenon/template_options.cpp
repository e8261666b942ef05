#include "template_options.hpp"

#include "options.hpp"

namespace tenon::tool {

api::RenderOptions TemplateOptions::read() const {
  const auto given = [this](const char* flag) { return command->count(flag) > 0; };
  api::RenderOptions out;
  if (given("--tools")) out.tools = read_json(tools);
  if (given("--documents")) out.documents = read_json(documents);
  if (given("--template-kwargs")) {
    out.kwargs = parse_json(kwargs, "--template-kwargs");
    if (!out.kwargs.is_object()) fail(ErrorCode::usage, "[--template-kwargs] no JSON object");
  }
  out.template_name = name;
  if (given("--chat-template")) out.template_source = read_input(file);
  return out;
}

void add_template_options(CLI::App& command, TemplateOptions& o) {
  o.command = &command;
  command.add_option("--tools", o.tools, "JSON array of tool definitions")->type_name("FILE");
  command.add_option("--documents", o.documents, "JSON array of documents that the template knows")->type_name("FILE");
  command.add_option("--template-kwargs", o.kwargs, "Variables of the template: {\"enable_thinking\": false}")
      ->type_name("JSON");
  command.add_option("--template-name", o.name, "A named variant of the model's template")->type_name("NAME");
  command.add_option("--chat-template", o.file, "This template in place of the model's")->type_name("FILE");
}

}  // namespace tenon::tool
