// tenon completion, tenon man: written from the parser's own table, so that they cannot lag behind it.
#include <memory>

#include "commands.hpp"
#include "manual.hpp"
#include "options.hpp"

namespace tenon::tool {

std::vector<CommandRow> command_table(const CLI::App& app) {
  std::vector<CommandRow> table;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    std::vector<CommandRow> members = command_table(*sub);
    if (members.empty()) {
      CommandRow row{.words = {}, .description = sub->get_description(), .flags = {}};
      for (const CLI::Option* option : sub->get_options()) {
        FlagRow flag{.names = {}, .value = {}, .description = option->get_description()};
        flag.required = option->get_required();
        flag.positional = option->get_positional();
        for (const std::string& s : option->get_snames()) flag.names.push_back("-" + s);
        for (const std::string& l : option->get_lnames()) flag.names.push_back("--" + l);
        if (flag.names.empty()) flag.names.push_back(option->get_name(true));
        if (!flag.positional && option->get_items_expected_max() > 0)
          flag.value = option->get_type_name().substr(0, option->get_type_name().find(":"));
        row.flags.push_back(std::move(flag));
      }
      members.push_back(std::move(row));
    }
    for (CommandRow& row : members) {
      row.words.insert(row.words.begin(), sub->get_name());
      table.push_back(std::move(row));
    }
  }
  return table;
}

static std::string completion(const std::string& shell, const std::vector<CommandRow>& table) {
  if (shell == "bash") return bash_completion(table);
  if (shell == "zsh") return zsh_completion(table);
  if (shell == "fish") return fish_completion(table);
  fail(ErrorCode::usage, "[completion] '{}' is none of bash, zsh, fish", shell);
}

void add_manual(CLI::App& app, Commands& commands) {
  auto shell = std::make_shared<std::string>();
  CLI::App* c = app.add_subcommand("completion", "Print a completion script for a shell");
  c->add_option("SHELL", *shell, "bash, zsh or fish")->required();
  commands.emplace_back(c, [shell, &app] { return write_out(completion(*shell, command_table(app))), 0; });
  CLI::App* m = app.add_subcommand("man", "Print the manual page");
  commands.emplace_back(m, [&app] { return write_out(man_page(command_table(app), TENON_VERSION)), 0; });
}

}  // namespace tenon::tool
