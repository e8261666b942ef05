// The manual page, in the macros of man(7).
#include <fmt/format.h>

#include "manual.hpp"

namespace tenon::tool {

namespace {

/// Text as roff takes it literally: no escapes, no hyphenation of dashes, no request at a line's start.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else if ((c == '.' || c == '\'') && out.empty())
      (out += "\\&") += c;
    else
      out += c;
  }
  return out;
}

constexpr const char* kHead = R"(.SH NAME
tenon \- run language models; every architecture is a plugin
.SH SYNOPSIS
.B tenon
.I COMMAND
[\fIflags\fR] [\fIarguments\fR]
.SH DESCRIPTION
MODEL is a directory with config.json, a .gguf file (of a split set the first), or the name of a model that
.B tenon list
shows. Generated text goes to standard output, progress and messages to standard error.
.SH COMMANDS
)";

constexpr const char* kTail = R"(.SH EXIT STATUS
0 worked, 1 failed at run time, 2 bad usage.
.SH FILES
.TP
.I ~/.cache/tenon/models
Models that can be given by name ($XDG_CACHE_HOME).
.TP
.I ../lib/tenon/plugins
Plugins, relative to the binary; then those of TENON_PLUGIN_PATH, ~/.local/share/tenon/plugins and
/usr/lib/tenon/plugins.
.TP
.I ~/.local/state/tenon/chat_history
What was typed in
.B tenon chat
($XDG_STATE_HOME).
.SH ENVIRONMENT
.TP
.B TENON_PLUGIN_PATH
Further directories of plugins, absolute, separated by colons.
.TP
.B NO_COLOR
No colours, when not empty.
)";

std::string flag_entry(const FlagRow& flag) {
  std::string names;
  for (const std::string& name : flag.names)
    names += (names.empty() ? "" : ", ") + fmt::format("\\f{}{}\\fR", flag.positional ? 'I' : 'B', roff(name));
  if (!flag.value.empty()) names += fmt::format(" \\fI{}\\fR", roff(flag.value));
  return fmt::format(".TP\n{}\n{}\n", names, roff(flag.description));
}

}  // namespace

std::string man_page(const std::vector<CommandRow>& table, const std::string& version) {
  std::string page = fmt::format(".TH TENON 1 \"\" \"tenon {}\" \"User Commands\"\n{}", version, kHead);
  for (const CommandRow& command : table) {
    std::string usage = fmt::format("{}", fmt::join(command.words, " "));
    for (const FlagRow& flag : command.flags)
      if (flag.positional && flag.names[0][0] != '-')
        usage += flag.required ? " " + flag.names[0] : " [" + flag.names[0] + "]";
    page += fmt::format(".SS tenon {}\n{}.\n", roff(usage), roff(command.description));
    for (const FlagRow& flag : command.flags) page += flag_entry(flag);
  }
  return page + kTail;
}

}  // namespace tenon::tool
