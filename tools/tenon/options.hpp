// What several commands share: the flags that choose and load a model, lists of ids, text from files.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/tenon.hpp"
#include "progress.hpp"

namespace tenon::tool {

/// Flags of every command.
struct PluginOptions {
  std::vector<std::string> dirs;
  bool json = false;
  int threads = 0;

  std::vector<std::filesystem::path> paths() const { return {dirs.begin(), dirs.end()}; }
};
void add_plugin_options(CLI::App& command, PluginOptions& options);

/// Flags of every command that runs a model.
struct ModelOptions {
  PluginOptions plugins;
  std::string model;
  api::LoadOptions load;
  bool explain = false;
};
void add_model_options(CLI::App& command, ModelOptions& options);

using Adjust = std::function<api::LoadOptions(api::LoadOptions)>;
/// Loads the model behind a progress bar, `adjust` having the last word on the options; prints its warnings and, with
/// --explain, the implementations.
api::Model load_model(const ModelOptions& options, const Adjust& adjust = {});

/// A directory, a file, or the name of a model in the user's cache; Error{not_found} naming the models that are there.
std::filesystem::path resolve_model(const std::string& name);

/// "1,2,3"; Error{usage} naming `flag` for anything else. An empty text is an error too.
std::vector<int32_t> parse_ids(std::string_view text, std::string_view flag);

/// The bytes of a file, or of standard input for "-".
std::string read_input(const std::string& path);
/// As read_input, parsed as JSON.
Value read_json(const std::string& path);

/// Writes to stdout; Error{io} when nobody takes it.
void write_out(std::string_view text);
void flush_out();

}  // namespace tenon::tool
