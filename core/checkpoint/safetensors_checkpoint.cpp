// A model directory: config.json, safetensors in one file or in shards named by an index, further JSON files on demand.
// Folders "1_Pooling", "2_Dense", ... hold what comes after the model (sentence-transformers' layout): the config.json
// of each becomes the member "modules.<folder>" of the metadata, its tensors carry "<folder>." before their names.
#include <algorithm>
#include <map>
#include <mutex>
#include <optional>

#include "base/error.hpp"
#include "checkpoint/tensor_table.hpp"

namespace tenon {
namespace {

namespace fs = std::filesystem;

constexpr JsonLimits kConfigLimits{.max_bytes = size_t{4} << 20, .max_depth = 64, .max_values = size_t{1} << 20};
constexpr JsonLimits kIndexLimits{.max_bytes = size_t{128} << 20, .max_depth = 8, .max_values = size_t{1} << 22};
constexpr JsonLimits kSideLimits{.max_bytes = size_t{256} << 20, .max_depth = 64, .max_values = size_t{1} << 24};
constexpr std::string_view kIndexName = "model.safetensors.index.json";
constexpr size_t kMaxShards = 9999, kMaxModules = 16;

// A name without any way out of the directory.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

Value read_json(const fs::path& path, const JsonLimits& limits) {
  return parse_json(read_file(path, limits.max_bytes), path.filename().string(), limits);
}

class ModelDirectory final : public Checkpoint {
 public:
  explicit ModelDirectory(const fs::path& path) : path_(path) {
    if (!fs::exists(path / "config.json"))
      fail(ErrorCode::not_found, "[{}] a directory without config.json", path.string());
    config_ = read_json(path / "config.json", kConfigLimits);
    if (!config_.is_object())
      fail(ErrorCode::bad_model, "[config.json] expected object, found {}", Value::kind_name(config_.kind()));
    add_tensors();
    add_modules();
    table_.finish();
  }

  Format format() const override { return Format::safetensors; }
  const Value& metadata() const override { return config_; }
  std::span<const StoredTensor> tensors() const override { return table_.tensors(); }
  const StoredTensor* find(std::string_view name) const override { return table_.find(name); }
  const fs::path& path() const override { return path_; }

  const Value* side_json(std::string_view file_name) const override {
    if (!is_plain_name(file_name)) fail(ErrorCode::internal, "[side_json] {} is no plain name", in_quotes(file_name));
    const std::lock_guard lock(side_mutex_);
    auto at = side_.find(file_name);
    if (at == side_.end()) {
      std::optional<Value> value;
      const fs::path path = path_ / file_name;
      if (fs::exists(path)) value = read_json(path, kSideLimits);
      at = side_.emplace(std::string(file_name), std::move(value)).first;
    }
    return at->second ? &*at->second : nullptr;
  }

 private:
  void add_tensors() {
    if (fs::exists(path_ / "model.safetensors")) return add_file("model.safetensors");
    if (fs::exists(path_ / kIndexName)) return add_shards();
    add_file(only_file());
  }

  void add_file(const std::string& name) {
    const auto file = MappedFile::open(path_ / name);
    table_.add(file, parse_safetensors(file->bytes(), name));
  }

  void add_modules() {
    Value::Object modules;
    for (const std::string& name : module_names()) {
      modules.emplace_back(name, read_json(path_ / name / "config.json", kConfigLimits));
      const fs::path tensors = path_ / name / "model.safetensors";
      if (!fs::exists(tensors)) continue;
      const auto file = MappedFile::open(tensors);
      table_.add(file, parse_safetensors(file->bytes(), name + "/model.safetensors"), name + ".");
    }
    if (modules.empty()) return;
    Value::Object members = config_.as_object();
    members.emplace_back("modules", std::move(modules));
    config_ = std::move(members);
  }

  /// Folders with a number, an underscore and letters for a name, in order.
  std::vector<std::string> module_names() const {
    std::vector<std::string> names;
    for (const fs::directory_entry& entry : fs::directory_iterator(path_)) {
      const std::string name = entry.path().filename().string();
      const size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
      const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
      if (digits < 1 || digits > 2 || digits + 2 > name.size() || name[digits] != '_' ||
          !std::all_of(name.begin() + static_cast<ptrdiff_t>(digits) + 1, name.end(), is_letter))
        continue;
      if (fs::exists(entry.path() / "config.json")) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    if (names.size() > kMaxModules)
      fail(ErrorCode::bad_model, "[{}] {} module folders, the limit is {}", path_.string(), names.size(), kMaxModules);
    return names;
  }

  std::string only_file() const {
    std::vector<std::string> found;
    for (const fs::directory_entry& entry : fs::directory_iterator(path_))
      if (entry.path().extension() == ".safetensors") found.push_back(entry.path().filename().string());
    std::sort(found.begin(), found.end());
    if (found.empty()) fail(ErrorCode::not_found, "[{}] no *.safetensors in this directory", path_.string());
    if (found.size() > 1)
      fail(ErrorCode::bad_model, "[{}] {} safetensors files ({} ...) without {}", path_.string(), found.size(),
           in_quotes(found[0]), kIndexName);
    return found[0];
  }

  void add_shards() {
    const Value index = read_json(path_ / kIndexName, kIndexLimits);
    const Value* map = index.find("weight_map");
    if (!map || !map->is_object()) fail(ErrorCode::bad_model, "[{}] weight_map is no object", kIndexName);
    for (const std::string& shard : shard_names(*map)) {
      if (!fs::exists(path_ / shard))
        fail(ErrorCode::not_found, "[{}] weight_map names {}, which is not there", kIndexName, in_quotes(shard));
      add_file(shard);
    }
    table_.finish();
    check_map(*map);
  }

  static std::vector<std::string> shard_names(const Value& map) {
    std::vector<std::string> names;
    for (const auto& [tensor, file] : map.as_object()) {
      if (!file.is_string())
        fail(ErrorCode::bad_model, "[{}] weight_map {}: expected string, found {}", kIndexName, in_quotes(tensor),
             Value::kind_name(file.kind()));
      if (!is_plain_name(file.as_string()) || !file.as_string().ends_with(".safetensors"))
        fail(ErrorCode::bad_model, "[{}] weight_map {}: {} is no plain name of a safetensors file", kIndexName,
             in_quotes(tensor), in_quotes(file.as_string()));
      names.push_back(file.as_string());
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    if (names.size() > kMaxShards)
      fail(ErrorCode::bad_model, "[{}] weight_map names {} files, the limit is {}", kIndexName, names.size(),
           kMaxShards);
    return names;
  }

  // A tensor that a shard holds beyond the map is kept: coverage decides later whether it is one too many.
  void check_map(const Value& map) const {
    for (const auto& [tensor, file] : map.as_object()) {
      const StoredTensor* found = table_.find(tensor);
      if (!found || found->file != file.as_string())
        fail(ErrorCode::bad_model, "[{}] weight_map puts tensor {} in {}, it is in {}", kIndexName, in_quotes(tensor),
             in_quotes(file.as_string()), found ? in_quotes(found->file) : "no file");
    }
  }

  fs::path path_;
  Value config_;
  TensorTable table_;
  mutable std::mutex side_mutex_;
  mutable std::map<std::string, std::optional<Value>, std::less<>> side_;
};

}  // namespace

std::shared_ptr<const Checkpoint> open_model_directory(const fs::path& path) {
  return std::make_shared<ModelDirectory>(path);
}

}  // namespace tenon
