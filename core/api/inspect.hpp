// What lies in a checkpoint, and which plugins are there: everything that can be said without running a model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "api/model.hpp"
#include "base/value.hpp"
#include "engine/state_report.hpp"

namespace tenon::api {

struct TensorInfo {
  std::string name, dtype;     // dtype in upper case as files spell it
  std::vector<int64_t> shape;  // row-major, [out, in]
  uint64_t bytes = 0;
};

struct Inspection {
  std::string format;  // "safetensors" or "gguf"
  Value metadata;      // config.json, or all key-values of a GGUF
  std::vector<TensorInfo> tensors;
  std::string plugin;        // id of the plugin that would serve it, or empty
  std::string plugin_error;  // why none would
};

/// Error{not_found | bad_model | unsupported | io} for the checkpoint; a missing plugin is no error here.
Inspection inspect(const std::filesystem::path& path, const std::vector<std::filesystem::path>& plugin_dirs,
                   const std::string& arch);
/// What one sequence's state comes to after `n_tokens`; the model is described, no weight is loaded. Errors as
/// Model::load.
std::vector<StateLine> state_sizes(const std::filesystem::path& path,
                                   const std::vector<std::filesystem::path>& plugin_dirs, const std::string& arch,
                                   int64_t n_tokens, bool exact);
/// One stored tensor as float32. Error{not_found} names the tensor.
Array read_tensor(const std::filesystem::path& path, std::string_view name);

/// JSON array of all plugins found in `dirs` (empty: the default directories), refused ones with their reason:
/// {id, file, version, architectures: {hf, model_type, gguf}, abi, trust, status, reason}.
Value list_plugins(const std::vector<std::filesystem::path>& dirs);
/// One plugin by file or by id, with all its note says; its code does not run. Error{not_found}.
Value plugin_info(const std::string& file_or_id, const std::vector<std::filesystem::path>& dirs);

}  // namespace tenon::api
