// tenon embed: what an encoder makes of a text: one vector, or the hidden state of each token as a .npy file.
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

void write_array(const EmbedOptions& o, const api::Array& array) {
  api::write_npy(o.out, array);
  if (!o.model.plugins.json) return;
  const Value::Array shape(array.shape.begin(), array.shape.end());
  write_out(to_json(Value::Object{{"file", o.out}, {"shape", shape}}) + "\n");
}

Value::Array numbers(const std::vector<float>& vector) {
  Value::Array all;
  for (float f : vector) all.emplace_back(static_cast<double>(f));
  return all;
}

int run(const EmbedOptions& o) {
  const bool by_ids = o.command->count("--tokens") > 0;
  if (by_ids == (o.command->count("TEXT") > 0)) fail(ErrorCode::usage, "[embed] one of TEXT and --tokens IDS");
  if (o.hidden && o.out.empty()) fail(ErrorCode::usage, "[embed] --hidden needs -o FILE");
  std::vector<int32_t> ids;
  if (by_ids)
    ids = parse_ids(o.tokens, "--tokens");
  else
    ids = api::Text::load(resolve_model(o.model.model)).encode(o.text == "-" ? read_input("-") : o.text, {});
  api::Model model = load_model(o.model, [&](api::LoadOptions load) {
    return api::encoder_load_options(std::move(load), static_cast<int64_t>(ids.size()));
  });
  if (o.hidden) {
    write_array(o, api::hidden_states(model, ids));
    return 0;
  }
  const std::vector<float> vector = api::embedding(model, ids);
  if (!o.out.empty())
    write_array(o, {{std::ssize(vector)}, vector});
  else if (o.model.plugins.json)
    write_out(to_json(Value::Object{{"embedding", numbers(vector)}, {"prompt_tokens", std::ssize(ids)}}) + "\n");
  else
    write_out(to_json(numbers(vector)) + "\n");
  return 0;
}

}  // namespace

void add_embed(CLI::App& app, Commands& commands) {
  auto o = std::make_shared<EmbedOptions>();
  CLI::App* c = o->command =
      app.add_subcommand("embed", "Print one vector of unit length for a text, or write the state of each token");
  add_model_options(*c, o->model);
  c->add_option("TEXT", o->text, "The text; - reads standard input");
  c->add_option("--tokens", o->tokens, "The text as ids, untouched")->type_name("1,2,3");
  c->add_flag("--hidden", o->hidden, "The final hidden state of each token, float32 [T, d], instead of one vector");
  c->add_option("-o,--output", o->out, "The .npy file to write")->type_name("FILE");
  commands.emplace_back(c, [o] { return run(*o); });
}

}  // namespace tenon::tool
