// tenon embed: the hidden states of an encoder, as a .npy file.
#include <memory>

#include "commands.hpp"
#include "options.hpp"

namespace tenon::tool {

namespace {

struct EmbedOptions {
  ModelOptions model;
  std::string text, tokens, out;
  bool hidden = false;
  CLI::App* command = nullptr;
};

int run(const EmbedOptions& o) {
  const bool by_ids = o.command->count("--tokens") > 0;
  if (by_ids == (o.command->count("TEXT") > 0)) fail(ErrorCode::usage, "[embed] one of TEXT and --tokens IDS");
  if (!o.hidden) fail(ErrorCode::unsupported, "[embed] one embedding of a text is not supported, --hidden -o FILE is");
  if (o.out.empty()) fail(ErrorCode::usage, "[embed] --hidden needs -o FILE");
  std::vector<int32_t> ids;
  if (by_ids)
    ids = parse_ids(o.tokens, "--tokens");
  else
    ids = api::Text::load(resolve_model(o.model.model)).encode(o.text == "-" ? read_input("-") : o.text, {});
  api::Model model = load_model(o.model, [&](api::LoadOptions load) {
    return api::hidden_load_options(std::move(load), static_cast<int64_t>(ids.size()));
  });
  const api::Array hidden = api::hidden_states(model, ids);
  api::write_npy(o.out, hidden);
  if (o.model.plugins.json) {
    const Value::Array shape(hidden.shape.begin(), hidden.shape.end());
    write_out(to_json(Value::Object{{"file", o.out}, {"shape", shape}}) + "\n");
  }
  return 0;
}

}  // namespace

void add_embed(CLI::App& app, Commands& commands) {
  auto o = std::make_shared<EmbedOptions>();
  CLI::App* c = o->command =
      app.add_subcommand("embed", "Write the final hidden state of each token as float32 [T, d]");
  add_model_options(*c, o->model);
  c->add_option("TEXT", o->text, "The text; - reads standard input");
  c->add_option("--tokens", o->tokens, "The text as ids, untouched")->type_name("1,2,3");
  c->add_flag("--hidden", o->hidden, "Hidden states instead of one embedding");
  c->add_option("-o,--output", o->out, "The .npy file to write")->type_name("FILE");
  commands.emplace_back(c, [o] { return run(*o); });
}

}  // namespace tenon::tool
