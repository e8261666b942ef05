// The commands of `tenon`: each file cmd_*.cpp adds its own to the parser, with what to do once it was chosen.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <utility>
#include <vector>

namespace tenon::tool {

/// Returns the exit status; throws tenon::Error.
using Action = std::function<int()>;
using Commands = std::vector<std::pair<CLI::App*, Action>>;

void add_run(CLI::App& app, Commands& commands);
void add_chat(CLI::App& app, Commands& commands);
void add_list(CLI::App& app, Commands& commands);
void add_perplexity(CLI::App& app, Commands& commands);
void add_embed(CLI::App& app, Commands& commands);
void add_doctor(CLI::App& app, Commands& commands);
void add_logits(CLI::App& app, Commands& commands);
void add_bench(CLI::App& app, Commands& commands);
void add_inspect(CLI::App& app, Commands& commands);
void add_tokenize(CLI::App& app, Commands& commands);
void add_detokenize(CLI::App& app, Commands& commands);
void add_render(CLI::App& app, Commands& commands);
void add_grammar(CLI::App& app, Commands& commands);
void add_parse(CLI::App& app, Commands& commands);
void add_plugin(CLI::App& app, Commands& commands);
/// `completion` and `man`, written from the table of all commands.
void add_manual(CLI::App& app, Commands& commands);

}  // namespace tenon::tool
