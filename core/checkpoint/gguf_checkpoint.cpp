// A GGUF file, or the first of a split set with all its parts, as a Checkpoint.
#include "base/error.hpp"
#include "checkpoint/tensor_table.hpp"

namespace tenon {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxParts = 9999;

class GgufCheckpoint final : public Checkpoint {
 public:
  explicit GgufCheckpoint(const fs::path& path) : path_(path) {
    GgufContents first = add_file(path);
    metadata_ = std::move(first.metadata);
    const int64_t parts = split_key(metadata_, "split.count", path_);
    if (parts > 1) add_parts(parts);
    table_.finish();
  }

  Format format() const override { return Format::gguf; }
  const Value& metadata() const override { return metadata_; }
  const Value* side_json(std::string_view) const override { return nullptr; }
  std::span<const StoredTensor> tensors() const override { return table_.tensors(); }
  const StoredTensor* find(std::string_view name) const override { return table_.find(name); }
  const fs::path& path() const override { return path_; }

 private:
  GgufContents add_file(const fs::path& path) {
    const auto file = MappedFile::open(path);
    GgufContents contents = parse_gguf(file->bytes(), path.filename().string());
    table_.add(file, std::move(contents.tensors));
    return contents;
  }

  static int64_t split_key(const Value& metadata, std::string_view key, const fs::path& path, int64_t absent = 0) {
    const Value* value = metadata.find(key);
    if (!value) return absent;
    const std::string file = path.filename().string();
    if (!value->is_int())
      fail(ErrorCode::bad_model, "[{}] {}: expected integer, found {}", file, key, Value::kind_name(value->kind()));
    const int64_t number = value->as_int();
    const int64_t max = key == "split.tensors.count" ? static_cast<int64_t>(kMaxTensors) : kMaxParts;
    if (number < 0 || number > max)
      fail(ErrorCode::bad_model, "[{}] {} is {}, not from 0 to {}", file, key, number, max);
    return number;
  }

  // NAME-00002-of-00003.gguf for part 1 of 3: the file names count from 1, split.no from 0.
  static std::string suffix(int64_t part, int64_t parts) {
    return fmt::format("-{:05}-of-{:05}.gguf", part + 1, parts);
  }

  void add_parts(int64_t parts) {
    const std::string file = path_.filename().string();
    const int64_t number = split_key(metadata_, "split.no", path_);
    const std::string expected = suffix(number, parts);
    if (!file.ends_with(expected))
      fail(ErrorCode::bad_model, "[{}] part {} of {} of a split set, whose file name ends in {}", file, number + 1,
           parts, expected);
    const std::string name = file.substr(0, file.size() - expected.size());
    if (number != 0)
      fail(ErrorCode::usage, "[{}] part {} of {} of a split set, which opens by its first part {}", file, number + 1,
           parts, name + suffix(0, parts));
    const int64_t total = split_key(metadata_, "split.tensors.count", path_, -1);
    for (int64_t part = 1; part < parts; ++part)
      add_part(path_.parent_path() / (name + suffix(part, parts)), part, parts);
    const auto found = static_cast<int64_t>(table_.tensors().size());
    if (total >= 0 && total != found)
      fail(ErrorCode::bad_model, "[{}] split.tensors.count is {}, the {} parts hold {}", file, total, parts, found);
  }

  void add_part(const fs::path& path, int64_t part, int64_t parts) {
    const GgufContents contents = add_file(path);
    const int64_t number = split_key(contents.metadata, "split.no", path, -1);
    const int64_t count = split_key(contents.metadata, "split.count", path, -1);
    if (number != part || count != parts)
      fail(ErrorCode::bad_model, "[{}] split.no {} and split.count {}, the file name says {} and {}",
           path.filename().string(), number, count, part, parts);
  }

  fs::path path_;
  Value metadata_;
  TensorTable table_;
};

}  // namespace

std::shared_ptr<const Checkpoint> open_gguf(const fs::path& path) { return std::make_shared<GgufCheckpoint>(path); }

}  // namespace tenon
