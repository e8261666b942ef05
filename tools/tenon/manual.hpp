// The table of commands as the parser knows it, and what is written from it: the man page, shell completions.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace tenon::tool {

struct FlagRow {
  std::vector<std::string> names;  // "-t", "--threads"; a positional's name alone
  std::string value, description;  // value: "N"; empty for a switch
  bool positional = false, required = false;
};

struct CommandRow {
  std::vector<std::string> words;  // {"plugin", "list"}
  std::string description;
  std::vector<FlagRow> flags;
};

/// Every command that can be given, in the order of --help; a group of subcommands by its members.
std::vector<CommandRow> command_table(const CLI::App& app);

/// roff, for man(7).
std::string man_page(const std::vector<CommandRow>& table, const std::string& version);
std::string bash_completion(const std::vector<CommandRow>& table);
std::string zsh_completion(const std::vector<CommandRow>& table);
std::string fish_completion(const std::vector<CommandRow>& table);

}  // namespace tenon::tool
