// Models as a listing shows them: what lies in a folder, told by headers alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace tenon::api {

struct ModelSummary {
  std::string name;  // as commands take it: the file's stem, the directory's name
  std::filesystem::path path;
  std::string format, architecture;  // empty when `error` says why it cannot be read
  uint64_t bytes = 0;                // of the files that hold its tensors
  std::string error;
};

/// Where downloaded models lie: $XDG_CACHE_HOME/tenon/models or ~/.cache/tenon/models; empty when neither is set.
std::filesystem::path models_dir();
/// The models of a folder (*.gguf, the first of a split set alone; directories with config.json), sorted by name. A
/// folder that is not there holds none.
std::vector<ModelSummary> list_models(const std::filesystem::path& folder);
/// Their names alone, without opening any.
std::vector<std::string> model_names(const std::filesystem::path& folder);

}  // namespace tenon::api
