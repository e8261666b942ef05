// tenon plugin list, tenon plugin info: which plugins are there and what their files say, without running them.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "commands.hpp"
#include "options.hpp"

namespace tenon::tool {

namespace {

struct PluginCommand {
  PluginOptions plugins;
  std::string which;
  bool markdown = false;
};

std::string text_of(const Value& object, std::string_view key) {
  const Value* v = object.find(key);
  if (!v || v->is_null()) return "-";
  return v->is_string() ? v->as_string() : to_json(*v);
}

/// The names under which models announce the plugin's architectures, each once.
std::string names_of(const Value& plugin) {
  std::vector<std::string> names;
  for (std::string_view kind : {"architectures.hf", "architectures.model_type", "architectures.gguf"}) {
    const Value* list = plugin.find_path(kind);
    if (!list || !list->is_array()) continue;
    for (const Value& name : list->as_array())
      if (std::find(names.begin(), names.end(), name.as_string()) == names.end()) names.push_back(name.as_string());
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

/// The names of one kind as a cell of a table: "`a`, `b`", or nothing.
std::string cell(const Value& plugin, std::string_view kind) {
  std::string text;
  if (const Value* list = plugin.find_path(fmt::format("architectures.{}", kind)); list && list->is_array())
    for (const Value& name : list->as_array())
      text += fmt::format("{}`{}`", text.empty() ? "" : ", ", name.as_string());
  return text;
}

/// What the plugins that can be loaded serve, as plugins/README.md has it.
void write_table(const Value& plugins) {
  write_out("| plugin | config.json architectures | config.json model_type | GGUF architecture | formats | ABI |\n");
  write_out("|---|---|---|---|---|---|\n");
  for (const Value& p : plugins.as_array()) {
    if (text_of(p, "status") != "ok") continue;
    const std::string hf = cell(p, "hf"), type = cell(p, "model_type"), gguf = cell(p, "gguf");
    const bool folder = !hf.empty() || !type.empty(), file = !gguf.empty();
    write_out(fmt::format("| `{}` | {} | {} | {} | {} | {} |\n", text_of(p, "id"), hf, type, gguf,
                          folder && file ? "safetensors, GGUF" : (folder ? "safetensors" : "GGUF"), text_of(p, "abi")));
  }
}

int list(const PluginCommand& o) {
  const Value plugins = api::list_plugins(o.plugins.paths());
  if (o.markdown) {
    write_table(plugins);
    return 0;
  }
  if (o.plugins.json) {
    write_out(to_json(plugins) + "\n");
    return 0;
  }
  for (const Value& p : plugins.as_array()) {
    write_out(fmt::format("{:<16} {:<8} {:<10} {}  ({})\n", text_of(p, "id"), text_of(p, "version"),
                          text_of(p, "status"), names_of(p), text_of(p, "file")));
    if (const std::string reason = text_of(p, "reason"); reason != "-" && !reason.empty())
      write_out(fmt::format("{:<16} {}\n", "", reason));
  }
  return 0;
}

int info(const PluginCommand& o) {
  const Value plugin = api::plugin_info(o.which, o.plugins.paths());
  if (text_of(plugin, "id") == "-") fail(ErrorCode::bad_plugin, "{}", text_of(plugin, "reason"));
  write_out((o.plugins.json ? to_json(plugin) : to_json_pretty(plugin)) + "\n");
  return 0;
}

}  // namespace

void add_plugin(CLI::App& app, Commands& commands) {
  CLI::App* plugin = app.add_subcommand("plugin", "List plugins, show what one says about itself");
  plugin->require_subcommand(1);
  auto l = std::make_shared<PluginCommand>();
  CLI::App* list_command = plugin->add_subcommand("list", "All plugins found, refused ones with their reason");
  list_command->add_flag("--markdown", l->markdown, "The names that each one serves, as a Markdown table");
  add_plugin_options(*list_command, l->plugins);
  commands.emplace_back(list_command, [l] { return list(*l); });
  auto i = std::make_shared<PluginCommand>();
  CLI::App* info_command = plugin->add_subcommand("info", "One plugin, by file or id; its code does not run");
  info_command->add_option("PLUGIN", i->which, "A .so file or a plugin's id")->required();
  add_plugin_options(*info_command, i->plugins);
  commands.emplace_back(info_command, [i] { return info(*i); });
}

}  // namespace tenon::tool
