#include "api/models.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>

#include "base/error.hpp"
#include "checkpoint/checkpoint.hpp"

namespace tenon::api {
namespace fs = std::filesystem;
namespace {

/// A later part of a split set: "name-00002-of-00003.gguf".
bool is_later_part(const std::string& stem) {
  constexpr size_t kTail = sizeof "-00001-of-00003" - 1;
  if (stem.size() <= kTail) return false;
  const std::string tail = stem.substr(stem.size() - kTail);
  for (size_t i = 0; i < kTail; ++i) {
    const bool digit = tail[i] >= '0' && tail[i] <= '9';
    if (digit != ((i >= 1 && i <= 5) || i >= 10)) return false;
  }
  return tail.substr(6, 4) == "-of-" && tail.substr(1, 5) != "00001";
}

std::optional<std::string> model_name(const fs::path& path) {
  std::error_code error;
  if (path.extension() == ".gguf" && !is_later_part(path.stem().string())) return path.stem().string();
  if (fs::exists(path / "config.json", error)) return path.filename().string();
  return std::nullopt;
}

std::string architecture_of(const Checkpoint& checkpoint) {
  const Value* v = checkpoint.meta("general.architecture");
  if (const Value* list = checkpoint.meta("architectures"); list && list->is_array() && !list->as_array().empty())
    v = &list->as_array().front();
  if (!v) v = checkpoint.meta("model_type");
  return v && v->is_string() ? v->as_string() : std::string();
}

uint64_t file_bytes(const Checkpoint& checkpoint) {
  std::set<std::string> files;
  for (const StoredTensor& t : checkpoint.tensors()) files.insert(t.file);
  const fs::path folder = fs::is_directory(checkpoint.path()) ? checkpoint.path() : checkpoint.path().parent_path();
  uint64_t bytes = 0;
  for (const std::string& file : files) {
    std::error_code error;
    const uintmax_t size = fs::file_size(folder / file, error);
    if (!error) bytes += size;
  }
  return bytes;
}

ModelSummary summary_of(std::string name, const fs::path& path) {
  ModelSummary s{.name = std::move(name), .path = path, .format = {}, .architecture = {}, .error = {}};
  try {
    const auto checkpoint = Checkpoint::open(path);
    s.format = checkpoint->format() == Format::gguf ? "gguf" : "safetensors";
    s.architecture = architecture_of(*checkpoint);
    s.bytes = file_bytes(*checkpoint);
  } catch (const Error& e) {
    s.error = e.what();
  }
  return s;
}

std::vector<std::pair<std::string, fs::path>> entries(const fs::path& folder) {
  std::vector<std::pair<std::string, fs::path>> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (auto name = model_name(it->path())) found.emplace_back(std::move(*name), it->path());
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

fs::path models_dir() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache) return fs::path(cache) / "tenon/models";
  const char* home = std::getenv("HOME");
  return home && *home ? fs::path(home) / ".cache/tenon/models" : fs::path();
}

std::vector<ModelSummary> list_models(const fs::path& folder) {
  std::vector<ModelSummary> models;
  for (auto& [name, path] : entries(folder)) models.push_back(summary_of(std::move(name), path));
  return models;
}

std::vector<std::string> model_names(const fs::path& folder) {
  std::vector<std::string> names;
  for (auto& [name, path] : entries(folder)) names.push_back(std::move(name));
  return names;
}

}  // namespace tenon::api
