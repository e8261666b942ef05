// tenon: the command. Parses arguments, calls the public C++ face, maps errors to one line and an exit status:
// 0 worked, 1 failed at run time, 2 bad usage.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <new>
#include <string>
#include <string_view>

#include "api/tenon.hpp"
#include "commands.hpp"
#include "options.hpp"

namespace tenon::tool {

static int report(std::string message, int status) {
  std::replace_if(message.begin(), message.end(), [](unsigned char c) { return c < ' ' || c == 127; }, ' ');
  std::fflush(stdout);
  fmt::print(stderr, "tenon: error: {}\n", message);
  return status;
}

static const Action* chosen(const Commands& commands) {
  for (const auto& [command, action] : commands)
    if (command->parsed()) return &action;
  return nullptr;
}

static int run(int argc, char** argv) {
  CLI::App app("Runs language models; every architecture is a plugin.", "tenon");
  app.set_version_flag("--version", "tenon " TENON_VERSION);
  app.require_subcommand(1);
  Commands commands;
  for (auto add : {add_run, add_chat, add_list, add_inspect, add_tokenize, add_detokenize, add_render, add_logits,
                   add_perplexity, add_embed, add_bench, add_grammar, add_parse, add_plugin, add_doctor, add_manual})
    add(app, commands);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(e);
    return report(e.what(), 2);
  }
  const Action* action = chosen(commands);
  if (!action) return report("no command given; tenon --help lists them", 2);
  const int status = (*action)();
  flush_out();
  return status;
}

}  // namespace tenon::tool

int main(int argc, char** argv) {
  // A child that loads one plugin and dies with it, if it must: before anything else of this program runs.
  if (const int status = tenon::api::probe_main(argc, argv); status >= 0) return status;
  try {
    return tenon::tool::run(argc, argv);
  } catch (const tenon::Error& e) {
    return tenon::tool::report(e.what(), e.code() == tenon::ErrorCode::usage ? 2 : 1);
  } catch (const std::bad_alloc&) {
    return tenon::tool::report("out of memory", 1);
  } catch (const std::exception& e) {
    return tenon::tool::report(e.what(), 1);
  }
}
