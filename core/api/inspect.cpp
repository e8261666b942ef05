// Inspection of checkpoints and plugins: forwards to the checkpoint and plugin rooms.
#include "api/inspect.hpp"

#include "base/error.hpp"
#include "checkpoint/checkpoint.hpp"
#include "checkpoint/quantised.hpp"
#include "plugin/describe.hpp"
#include "plugin/registry.hpp"

namespace tenon::api {

Inspection inspect(const std::filesystem::path& path, const std::vector<std::filesystem::path>& dirs,
                   const std::string& arch) {
  const auto checkpoint = Checkpoint::open(path);
  Inspection out;
  out.format = checkpoint->format() == Format::gguf ? "gguf" : "safetensors";
  out.metadata = checkpoint->metadata();
  for (const StoredTensor& t : checkpoint->tensors())
    out.tensors.push_back({t.name, std::string(dtype_info(t.tensor.dtype).name), t.tensor.shape, t.tensor.bytes});
  try {
    PluginRegistry plugins = PluginRegistry::scan(plugin_dirs(dirs));
    out.plugin = serving_plugin(*checkpoint, plugins, arch);
  } catch (const Error& e) {
    out.plugin_error = e.what();
  }
  return out;
}

std::vector<StateLine> state_sizes(const std::filesystem::path& path, const std::vector<std::filesystem::path>& dirs,
                                   const std::string& arch, int64_t n_tokens, bool exact) {
  const auto checkpoint = unpacked(Checkpoint::open(path));
  PluginRegistry plugins = PluginRegistry::scan(plugin_dirs(dirs));
  return state_report(describe(*checkpoint, plugins, {.arch = arch}).graph, n_tokens, exact);
}

Array read_tensor(const std::filesystem::path& path, std::string_view name) {
  const auto checkpoint = Checkpoint::open(path);
  const StoredTensor* stored = checkpoint->find(name);
  if (!stored)
    fail(ErrorCode::not_found, "[{}] no tensor \"{}\" among {}", path.string(), name, checkpoint->tensors().size());
  const HostTensor values = stored->tensor.to_f32(name);
  const auto* data = reinterpret_cast<const float*>(values.data);
  return {values.shape, std::vector<float>(data, data + values.elements())};
}

Value list_plugins(const std::vector<std::filesystem::path>& dirs) {
  const PluginRegistry plugins = PluginRegistry::scan(plugin_dirs(dirs));
  Value::Array rows;
  for (const PluginRow& row : plugins.rows()) rows.push_back(row_to_value(row));
  return Value(std::move(rows));
}

Value plugin_info(const std::string& file_or_id, const std::vector<std::filesystem::path>& dirs) {
  if (std::filesystem::is_regular_file(file_or_id))
    return row_to_full_value(read_plugin_row(file_or_id, Trust::unknown));
  const PluginRegistry plugins = PluginRegistry::scan(plugin_dirs(dirs));
  for (const PluginRow& row : plugins.rows())
    if (row.note && row.note->id == file_or_id) return row_to_full_value(row);
  fail(ErrorCode::not_found, "[plugin info] \"{}\" is neither a file nor the id of one of {} plugins found", file_or_id,
       plugins.rows().size());
}

}  // namespace tenon::api
