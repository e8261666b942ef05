// tenon inspect: what lies in a checkpoint and which plugin would serve it; one tensor as a .npy file.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "commands.hpp"
#include "options.hpp"

namespace tenon::tool {

namespace {

struct InspectOptions {
  PluginOptions plugins;
  std::string model, arch, tensor, out;
  std::optional<int64_t> state;
  bool exact = false;
};

constexpr size_t kShownElements = 8, kShownBytes = 160;

/// One metadata value on one line, long ones cut short.
std::string shown(const Value& value) {
  if (value.is_array() && value.as_array().size() > kShownElements)
    return fmt::format("[{} elements]", value.as_array().size());
  std::string text = to_json(value);
  if (text.size() <= kShownBytes) return text;
  size_t end = kShownBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

void print_text(const api::Inspection& found) {
  write_out(fmt::format("format {}\n", found.format));
  for (const auto& [key, value] : found.metadata.as_object()) write_out(fmt::format("  {} = {}\n", key, shown(value)));
  uint64_t bytes = 0;
  for (const api::TensorInfo& t : found.tensors) bytes += t.bytes;
  write_out(fmt::format("{} tensors, {} bytes\n", found.tensors.size(), bytes));
  for (const api::TensorInfo& t : found.tensors)
    write_out(fmt::format("  {} {} [{}] {}\n", t.name, t.dtype, fmt::join(t.shape, ", "), t.bytes));
  write_out(found.plugin.empty() ? fmt::format("no plugin: {}\n", found.plugin_error)
                                 : fmt::format("plugin {}\n", found.plugin));
}

Value::Object inspection_value(api::Inspection found) {
  Value::Array tensors;
  for (api::TensorInfo& t : found.tensors)
    tensors.push_back(Value::Object{{"name", std::move(t.name)},
                                    {"dtype", std::move(t.dtype)},
                                    {"shape", Value::Array(t.shape.begin(), t.shape.end())},
                                    {"bytes", static_cast<int64_t>(t.bytes)}});
  const bool served = !found.plugin.empty();
  return Value::Object{{"format", found.format},
                       {"metadata", std::move(found.metadata)},
                       {"tensors", std::move(tensors)},
                       {"plugin", served ? Value(found.plugin) : Value()},
                       {"plugin_error", served ? Value() : Value(found.plugin_error)}};
}

void print_states(const std::vector<StateLine>& lines, int64_t n_tokens) {
  uint64_t sum = 0;
  write_out(fmt::format("state of a sequence of {} tokens\n", n_tokens));
  for (const StateLine& l : lines) {
    const std::string window = l.window > 0 ? fmt::format(" of the last {}", l.window) : "";
    write_out(fmt::format("  {}{}: {} states, {} bytes a token, {} fixed, {} held in {} pages\n",
                          state_kind_name(l.kind), window, l.states, l.bytes_per_token, l.bytes_fixed, l.bytes,
                          l.pages));
    sum += l.bytes;
  }
  write_out(fmt::format("  {} bytes\n", sum));
}

Value states_value(const std::vector<StateLine>& lines, int64_t n_tokens, bool exact) {
  Value::Array kinds;
  uint64_t sum = 0;
  for (const StateLine& l : lines) {
    kinds.push_back(Value::Object{{"kind", std::string(state_kind_name(l.kind))},
                                  {"window", l.window},
                                  {"states", l.states},
                                  {"bytes_per_token", static_cast<int64_t>(l.bytes_per_token)},
                                  {"bytes_fixed", static_cast<int64_t>(l.bytes_fixed)},
                                  {"pages", l.pages},
                                  {"bytes", static_cast<int64_t>(l.bytes)}});
    sum += l.bytes;
  }
  return Value::Object{
      {"tokens", n_tokens}, {"exact", exact}, {"kinds", std::move(kinds)}, {"bytes", static_cast<int64_t>(sum)}};
}

/// What was asked for beside the list of contents.
std::vector<StateLine> states(const InspectOptions& o, const std::filesystem::path& path) {
  if (!o.state) return {};
  return api::state_sizes(path, o.plugins.paths(), o.arch, *o.state, o.exact);
}

int run(const InspectOptions& o) {
  if (o.tensor.empty() != o.out.empty()) fail(ErrorCode::usage, "[inspect] --tensor and -o belong together");
  const std::filesystem::path path = resolve_model(o.model);
  if (!o.tensor.empty()) {
    api::write_npy(o.out, api::read_tensor(path, o.tensor));
    return 0;
  }
  const std::vector<StateLine> lines = states(o, path);
  api::Inspection found = api::inspect(path, o.plugins.paths(), o.arch);
  if (!o.plugins.json) {
    print_text(found);
    if (o.state) print_states(lines, *o.state);
    return 0;
  }
  Value::Object all = inspection_value(std::move(found));
  if (o.state) all.emplace_back("state", states_value(lines, *o.state, o.exact));
  write_out(to_json(Value(std::move(all))) + "\n");
  return 0;
}

}  // namespace

void add_inspect(CLI::App& app, Commands& commands) {
  auto o = std::make_shared<InspectOptions>();
  CLI::App* c = app.add_subcommand("inspect", "List a model's metadata, tensors and plugin");
  c->add_option("MODEL", o->model, "Directory with config.json, .gguf file, or name of a model in the cache")
      ->required();
  c->add_option("--tensor", o->tensor, "Write this stored tensor as float32")->type_name("NAME");
  c->add_option("-o,--output", o->out, "The .npy file to write")->type_name("FILE");
  c->add_option("--state", o->state, "Also what a sequence of so many tokens keeps, by kind of state")
      ->type_name("N")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30));
  c->add_flag("--exact", o->exact, "With --state: keys and values in f32");
  c->add_option("--arch", o->arch, "Use the plugin of this id")->type_name("ID");
  add_plugin_options(*c, o->plugins);
  commands.emplace_back(c, [o] { return run(*o); });
}

}  // namespace tenon::tool
