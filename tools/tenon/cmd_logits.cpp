// tenon logits: the logits after each of the given tokens, as a .npy file.
#include <memory>

#include "commands.hpp"
#include "options.hpp"

namespace tenon::tool {

namespace {

struct LogitsOptions {
  ModelOptions model;
  std::string tokens, chunks, out;
  int64_t decode_from = 0;
  int batch = 1;
  CLI::App* command = nullptr;
};

int run(const LogitsOptions& o) {
  api::LogitsOptions options;
  options.tokens = parse_ids(o.tokens, "--tokens");
  if (!o.chunks.empty())
    for (int32_t n : parse_ids(o.chunks, "--chunks")) {
      if (n == 0) fail(ErrorCode::usage, "[--chunks] an empty piece");
      options.chunks.push_back(n);
    }
  if (o.command->count("--decode-from")) options.decode_from = o.decode_from;
  options.batch = o.batch;
  api::Model model =
      load_model(o.model, [&](api::LoadOptions load) { return api::logits_load_options(std::move(load), options); });
  const api::Array logits = model.logits(options);
  api::write_npy(o.out, logits);
  if (o.model.plugins.json) {
    const Value::Array shape(logits.shape.begin(), logits.shape.end());
    write_out(to_json(Value::Object{{"file", o.out}, {"shape", shape}}) + "\n");
  }
  return 0;
}

}  // namespace

void add_logits(CLI::App& app, Commands& commands) {
  auto o = std::make_shared<LogitsOptions>();
  CLI::App* c = o->command = app.add_subcommand("logits", "Write the logits after each token as float32 [T, vocab]");
  add_model_options(*c, o->model);
  c->add_option("--tokens", o->tokens, "The tokens")->required()->type_name("1,2,3");
  c->add_option("--chunks", o->chunks, "Feed the tokens in pieces of these sizes")->type_name("2,1");
  c->add_option("--decode-from", o->decode_from, "Feed the tokens from this one on one at a time")
      ->type_name("K")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40));
  c->add_option("--batch", o->batch, "Run N copies in one batch beside another sequence; write the first")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  c->add_option("-o,--output", o->out, "The .npy file to write")->required()->type_name("FILE");
  commands.emplace_back(c, [o] { return run(*o); });
}

}  // namespace tenon::tool
