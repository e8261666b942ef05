// tenon perplexity: how well a model predicts a text.
#include <fmt/format.h>

#include <memory>

#include "commands.hpp"
#include "options.hpp"

namespace tenon::tool {

namespace {

struct PerplexityOptions {
  ModelOptions model;
  std::string file;
};

int run(const PerplexityOptions& o) {
  const std::string text = read_input(o.file);
  api::Model model = load_model(o.model, [&](api::LoadOptions load) {
    load.max_seqs = 1;
    return api::logits_load_options(std::move(load), {});
  });
  const std::vector<int32_t> ids = model.text().encode(text, {});
  Progress progress;
  const api::Perplexity found = api::perplexity(
      model, ids,
      {.progress = [&](std::string_view what, uint64_t done, uint64_t total) { progress.update(what, done, total); }});
  progress.clear();
  if (o.model.plugins.json)
    write_out(to_json(Value::Object{{"perplexity", found.perplexity},
                                    {"mean_nll", found.mean_nll},
                                    {"tokens", found.n_tokens},
                                    {"predicted", found.n_predicted},
                                    {"windows", found.n_windows},
                                    {"window", found.window},
                                    {"seconds", found.seconds},
                                    {"exact", o.model.load.exact}}) +
              "\n");
  else
    write_out(fmt::format("perplexity {:.4f} over {} tokens in {} windows of {}, {:.1f} s\n", found.perplexity,
                          found.n_predicted, found.n_windows, found.window, found.seconds));
  return 0;
}

}  // namespace

void add_perplexity(CLI::App& app, Commands& commands) {
  auto o = std::make_shared<PerplexityOptions>();
  CLI::App* c = app.add_subcommand("perplexity",
                                   "exp of the mean -log p over a text, in windows of the context that do not overlap");
  add_model_options(*c, o->model);
  c->add_option("--file", o->file, "The text; - reads standard input")->required()->type_name("FILE");
  commands.emplace_back(c, [o] { return run(*o); });
}

}  // namespace tenon::tool
