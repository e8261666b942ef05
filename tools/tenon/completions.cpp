// Completion scripts. Files are offered for values; for MODEL also the names that `tenon list --names` prints.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "manual.hpp"

namespace tenon::tool {

namespace {

std::string joined(const CommandRow& c, const char* between = " ") {
  return fmt::format("{}", fmt::join(c.words, between));
}

bool takes_model(const CommandRow& c) {
  return std::any_of(c.flags.begin(), c.flags.end(), [](const FlagRow& f) { return f.names[0] == "MODEL"; });
}

/// First words in the table's order, with their commands.
std::vector<std::pair<std::string, std::vector<const CommandRow*>>> by_first_word(
    const std::vector<CommandRow>& table) {
  std::vector<std::pair<std::string, std::vector<const CommandRow*>>> groups;
  for (const CommandRow& c : table) {
    if (groups.empty() || groups.back().first != c.words[0]) groups.push_back({c.words[0], {}});
    groups.back().second.push_back(&c);
  }
  return groups;
}

std::vector<std::string> flag_names(const CommandRow& c) {
  std::vector<std::string> names;
  for (const FlagRow& f : c.flags)
    for (const std::string& n : f.names)
      if (n[0] == '-') names.push_back(n);
  return names;
}

/// Text without the characters that mean something to any of the three shells' quoting or to zsh's specs.
std::string plain(std::string text) {
  std::erase_if(text, [](char c) { return c == '\'' || c == '"' || c == '\\' || c == '`' || c == '$'; });
  for (char& c : text)
    if (c == '[')
      c = '(';
    else if (c == ']')
      c = ')';
    else if (c == ':')
      c = ';';
  return text;
}

}  // namespace

std::string bash_completion(const std::vector<CommandRow>& table) {
  std::vector<std::string> first;
  std::string cases;
  for (const auto& [word, commands] : by_first_word(table)) {
    first.push_back(word);
    if (commands[0]->words.size() > 1) {
      std::vector<std::string> second;
      for (const CommandRow* c : commands) second.push_back(c->words[1]);
      cases += fmt::format("    '{} ') words='{}' ;;\n", word, fmt::join(second, " "));
    }
    for (const CommandRow* c : commands)
      cases += fmt::format("    '{}') words='{}' models={} ;;\n", joined(*c), fmt::join(flag_names(*c), " "),
                           takes_model(*c) ? 1 : 0);
  }
  std::string groups;
  for (const auto& [word, commands] : by_first_word(table))
    if (commands[0]->words.size() > 1) groups += (groups.empty() ? "" : "|") + word;
  return fmt::format(R"sh(# bash completion of tenon
_tenon() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} command=${{COMP_WORDS[1]}} words= models=0
  COMPREPLY=()
  if [ "$COMP_CWORD" -le 1 ]; then
    COMPREPLY=($(compgen -W '{} --help --version' -- "$current"))
    return
  fi
  case $command in {})
    if [ "$COMP_CWORD" -eq 2 ]; then command="$command "; else command="$command ${{COMP_WORDS[2]}}"; fi ;;
  esac
  case $command in
{}  esac
  case $current in
    -*) COMPREPLY=($(compgen -W "$words" -- "$current")); return ;;
  esac
  [ "${{command% }}" != "$command" ] && COMPREPLY=($(compgen -W "$words" -- "$current")) && return
  [ "$models" = 1 ] && COMPREPLY=($(compgen -W "$("${{COMP_WORDS[0]}}" list --names 2>/dev/null)" -- "$current"))
  COMPREPLY+=($(compgen -f -- "$current"))
}}
complete -o filenames -F _tenon tenon
)sh",
                     fmt::join(first, " "), groups.empty() ? "''" : groups, cases);
}

namespace {

std::string zsh_arguments(const CommandRow& c) {
  std::string out = "_arguments -S";
  for (const FlagRow& f : c.flags) {
    for (const std::string& name : f.names)
      if (name[0] == '-')
        out += fmt::format(" '{}[{}]{}'", name, plain(f.description),
                           f.value.empty() ? "" : ":" + plain(f.value) + ":_files");
      else
        out += fmt::format(" ':{}:{}'", plain(name), name == "MODEL" ? "_tenon_models" : "_files");
  }
  return out;
}

}  // namespace

std::string zsh_completion(const std::vector<CommandRow>& table) {
  std::string list, cases;
  for (const auto& [word, commands] : by_first_word(table)) {
    const bool group = commands[0]->words.size() > 1;
    list += fmt::format("    '{}:{}'\n", word, group ? "its subcommands" : plain(commands[0]->description));
    if (!group) {
      cases += fmt::format("    {}) {} ;;\n", word, zsh_arguments(*commands[0]));
      continue;
    }
    std::string names, inner;
    for (const CommandRow* c : commands) {
      names += fmt::format(" '{}:{}'", c->words[1], plain(c->description));
      inner += fmt::format("      {}) {} ;;\n", c->words[1], zsh_arguments(*c));
    }
    cases += fmt::format(
        "    {})\n      if (( CURRENT == 2 )); then local -a subs=({}); _describe subcommand subs; return; fi\n"
        "      shift words; (( CURRENT-- ))\n      case $words[1] in\n{}      esac ;;\n",
        word, names, inner);
  }
  return fmt::format(R"sh(#compdef tenon
_tenon_models() {{
  local -a names=(${{(f)"$(tenon list --names 2>/dev/null)"}})
  _alternative "models:model:($names)" 'files:file:_files'
}}
_tenon() {{
  local -a commands=(
{}  )
  if (( CURRENT == 2 )); then _describe command commands; return; fi
  shift words; (( CURRENT-- ))
  case $words[1] in
{}  esac
}}
_tenon "$@"
)sh",
                     list, cases);
}

namespace {

std::string fish_flags(const CommandRow& c, const std::string& condition) {
  std::string out;
  for (const FlagRow& f : c.flags) {
    std::string names;
    for (const std::string& n : f.names)
      if (n.starts_with("--"))
        names += " -l " + n.substr(2);
      else if (n[0] == '-')
        names += " -s " + n.substr(1);
    if (!names.empty())
      out += fmt::format("complete -c tenon -n '{}'{}{} -d '{}'\n", condition, names, f.value.empty() ? "" : " -r",
                         plain(f.description));
  }
  if (takes_model(c))
    out += fmt::format("complete -c tenon -n '{}' -a '(tenon list --names 2>/dev/null)'\n", condition);
  return out;
}

}  // namespace

std::string fish_completion(const std::vector<CommandRow>& table) {
  std::string out = "# fish completion of tenon\n";
  for (const auto& [word, commands] : by_first_word(table)) {
    const bool group = commands[0]->words.size() > 1;
    out += fmt::format("complete -c tenon -n __fish_use_subcommand -f -a {} -d '{}'\n", word,
                       group ? "its subcommands" : plain(commands[0]->description));
    for (const CommandRow* c : commands) {
      std::string condition = "__fish_seen_subcommand_from " + word;
      if (group) {
        out +=
            fmt::format("complete -c tenon -n '{}' -f -a {} -d '{}'\n", condition, c->words[1], plain(c->description));
        condition += "; and __fish_seen_subcommand_from " + c->words[1];
      }
      out += fish_flags(*c, condition);
    }
  }
  return out;
}

}  // namespace tenon::tool
