// tenon inspect: what lies in a checkpoint and which plugin would serve it; one tensor as a .npy file.
#include <fmt/format.h>

#include <memory>

#include "commands.hpp"
#include "options.hpp"

namespace tenon::tool {

namespace {

struct InspectOptions {
  PluginOptions plugins;
  std::string model, arch, tensor, out;
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

Value inspection_value(api::Inspection found) {
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

int run(const InspectOptions& o) {
  if (o.tensor.empty() != o.out.empty()) fail(ErrorCode::usage, "[inspect] --tensor and -o belong together");
  const std::filesystem::path path = resolve_model(o.model);
  if (!o.tensor.empty()) {
    api::write_npy(o.out, api::read_tensor(path, o.tensor));
    return 0;
  }
  api::Inspection found = api::inspect(path, o.plugins.paths(), o.arch);
  if (o.plugins.json)
    write_out(to_json(inspection_value(std::move(found))) + "\n");
  else
    print_text(found);
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
  c->add_option("--arch", o->arch, "Use the plugin of this id")->type_name("ID");
  add_plugin_options(*c, o->plugins);
  commands.emplace_back(c, [o] { return run(*o); });
}

}  // namespace tenon::tool
