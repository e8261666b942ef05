// tenon list: the models of the user's cache, or of another folder.
#include <fmt/format.h>

#include <memory>

#include "commands.hpp"
#include "options.hpp"
#include "units.hpp"

namespace tenon::tool {

namespace {

struct ListOptions {
  PluginOptions common;
  std::string folder;
  bool names = false;
};

Value model_value(const api::ModelSummary& m) {
  const auto text = [](const std::string& s) { return s.empty() ? Value() : Value(s); };
  return Value::Object{{"name", m.name},
                       {"path", m.path.string()},
                       {"format", text(m.format)},
                       {"architecture", text(m.architecture)},
                       {"bytes", static_cast<int64_t>(m.bytes)},
                       {"error", text(m.error)}};
}

int run(const ListOptions& o) {
  const std::filesystem::path folder = o.folder.empty() ? api::models_dir() : std::filesystem::path(o.folder);
  if (o.names) {
    for (const std::string& name : api::model_names(folder)) write_out(name + "\n");
    return 0;
  }
  const std::vector<api::ModelSummary> models = api::list_models(folder);
  if (o.common.json) {
    Value::Array rows;
    for (const api::ModelSummary& m : models) rows.push_back(model_value(m));
    write_out(to_json(Value(std::move(rows))) + "\n");
    return 0;
  }
  if (models.empty()) fmt::print(stderr, "no models in {}\n", folder.string());
  for (const api::ModelSummary& m : models)
    write_out(m.error.empty()
                  ? fmt::format("{:<40} {:>10}  {:<11} {}\n", m.name, human_bytes(m.bytes), m.format, m.architecture)
                  : fmt::format("{:<40} {}\n", m.name, m.error));
  return 0;
}

}  // namespace

void add_list(CLI::App& app, Commands& commands) {
  auto o = std::make_shared<ListOptions>();
  CLI::App* c = app.add_subcommand("list", "List the models of the cache: name, size, format, architecture");
  c->add_option("FOLDER", o->folder, "Another folder than the cache");
  c->add_flag("--names", o->names, "Names alone, without opening the models");
  add_plugin_options(*c, o->common);
  commands.emplace_back(c, [o] { return run(*o); });
}

}  // namespace tenon::tool
