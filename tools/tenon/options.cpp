#include "options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "base/mapped_file.hpp"

namespace tenon::tool {

namespace fs = std::filesystem;

void add_plugin_options(CLI::App& command, PluginOptions& options) {
  command.add_option("--plugin-dir", options.dirs, "Look for plugins here and nowhere else (repeatable)")
      ->allow_extra_args(false)
      ->type_name("DIR");
  command.add_option("-t,--threads", options.threads, "Threads; all processors without it")
      ->type_name("N")
      ->check(CLI::Range(1, 512));
  command.add_flag("--json", options.json, "Machine-readable output on stdout");
}

void add_model_options(CLI::App& command, ModelOptions& options) {
  command.add_option("MODEL", options.model, "Directory with config.json, .gguf file, or name of a model in the cache")
      ->required();
  command.add_option("--backend", options.load.backend, "cpu, reference or auto")->type_name("NAME");
  command.add_flag("--exact", options.load.exact, "Weights as stored, arithmetic and KV cache in f32");
  command.add_flag("--explain", options.explain, "Print which implementation runs each op, and why others refused");
  command.add_option("--ctx", options.load.ctx, "Context in tokens; the model's own without it")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30));
  command.add_option("--arch", options.load.arch, "Use the plugin of this id")->type_name("ID");
  command.add_flag("--allow-unread", options.load.allow_unread, "Config keys that nothing reads are warnings only");
  add_plugin_options(command, options.plugins);
}

api::Model load_model(const ModelOptions& options, const Adjust& adjust) {
  api::LoadOptions load = options.load;
  load.plugin_dirs = options.plugins.paths();
  load.threads = options.plugins.threads;
  if (adjust) load = adjust(load);
  Progress progress;
  load.progress = [&](std::string_view what, uint64_t done, uint64_t total) { progress.update(what, done, total); };
  api::Model model = api::Model::load(resolve_model(options.model), load);
  progress.clear();
  for (const std::string& warning : model.info().warnings) fmt::print(stderr, "tenon: warning: {}\n", warning);
  if (options.explain) {
    fmt::print(stderr, "plugin {} ({})\n", model.info().plugin_id, model.info().plugin_why);
    for (const std::string& line : model.explain()) fmt::print(stderr, "{}\n", line);
  }
  return model;
}

fs::path resolve_model(const std::string& name) {
  std::error_code error;
  if (fs::exists(name, error)) return name;
  if (name.find('/') != std::string::npos) fail(ErrorCode::not_found, "[model] no file or directory {}", name);
  const fs::path dir = api::models_dir();
  for (const fs::path& candidate : {dir / (name + ".gguf"), dir / name})
    if (!dir.empty() && !name.empty() && fs::exists(candidate, error)) return candidate;
  const std::vector<std::string> known = api::model_names(dir);
  fail(ErrorCode::not_found, "[model] {} is no file, no directory and no model of the cache (there: {})", name,
       known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", ")));
}

std::vector<int32_t> parse_ids(std::string_view text, std::string_view flag) {
  std::vector<int32_t> ids;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    const std::string_view word = text.substr(at, comma - at);
    int32_t id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (word.empty() || error != std::errc() || end != word.data() + word.size() || id < 0)
      fail(ErrorCode::usage, "[{}] '{}' is no number of 0 to 2147483647", flag, word);
    ids.push_back(id);
    at = comma + 1;
  }
  return ids;
}

std::string read_input(const std::string& path) {
  if (path != "-") return read_file(path);
  std::string all;
  char buffer[65536];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, stdin)) all.append(buffer, n);
  if (std::ferror(stdin)) fail(ErrorCode::io, "[stdin] cannot be read");
  return all;
}

Value read_json(const std::string& path) { return parse_json(read_input(path), path); }

void write_out(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
    fail(ErrorCode::io, "[stdout] cannot be written");
}

void flush_out() {
  if (std::fflush(stdout) != 0) fail(ErrorCode::io, "[stdout] cannot be written");
}

}  // namespace tenon::tool
