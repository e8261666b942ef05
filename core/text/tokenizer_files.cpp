// Which file a tokenizer comes from: by name in a checkpoint's folder, by content for a file alone.
#include <algorithm>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "text/tokenizer_build.hpp"

namespace tenon {

namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = "tokenizer_config.json";
// The first of these that is there is taken.
constexpr std::string_view kNames[] = {"tokenizer.json", "tekken.json", "tokenizer.model", "tiktoken.model"};
constexpr std::string_view kDated = "rwkv_vocab_";  // and a date
constexpr const char *kVocab = "vocab.json", *kMerges = "merges.txt";

bool is_dated(const fs::path& file) {
  return file.filename().string().starts_with(kDated) && file.extension() == ".txt";
}

std::string known_names() {
  return fmt::format("{}, {}*.txt, {} with {}", fmt::join(kNames, ", "), kDated, kVocab, kMerges);
}

/// Of several dated ones the latest.
std::optional<fs::path> file_of(const fs::path& folder) {
  for (const std::string_view name : kNames)
    if (fs::exists(folder / name)) return folder / name;
  std::optional<fs::path> latest;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (is_dated(entry.path()) && (!latest || *latest < entry.path())) latest = entry.path();
  if (!latest && fs::exists(folder / kVocab) && fs::exists(folder / kMerges)) return folder / kVocab;
  return latest;
}

void refuse_pre(const BareOptions& options, const std::string& place, const char* why) {
  if (!options.pre.empty()) fail(ErrorCode::usage, "[--pre] {} {}", place, why);
}

std::shared_ptr<const Tokenizer> from_json(const Value& json, const fs::path& path, const Value* config,
                                           const BareOptions& options) {
  const std::string place = path.filename().string();
  refuse_pre(options, place, "has a pattern of its own");
  if (is_tekken(json)) return tokenizer_from_tekken(json, place, config, options);
  if (place == kVocab) return tokenizer_from_merges(json, read_file(path.parent_path() / kMerges), config, options);
  return tokenizer_from_json(json, config, options);
}

/// `bare`: the file alone was given, which may be meant otherwise than what is beside it.
std::shared_ptr<const Tokenizer> from_bytes(const std::string& bytes, const std::string& place, const Value* config,
                                            const BareOptions& options, bool bare) {
  if (is_rank_file(bytes)) {
    const bool by_class = !bare || (config && options.pre.empty());
    return by_class ? tokenizer_from_ranks(bytes, place, config, options) : tokenizer_from_ranks(bytes, place, options);
  }
  refuse_pre(options, place, "has no use for a pattern");
  if (is_rwkv_file(bytes)) return tokenizer_from_rwkv(bytes, place, config, options);
  return tokenizer_from_sentencepiece(bytes, place, config, options);
}

}  // namespace

std::shared_ptr<const Tokenizer> Tokenizer::from_checkpoint(const Checkpoint& checkpoint) {
  if (checkpoint.format() == Format::gguf) return tokenizer_from_gguf(checkpoint);
  const auto file = file_of(checkpoint.path());
  if (!file) fail(ErrorCode::not_found, "[tokenizer] none of {} in {}", known_names(), checkpoint.path().string());
  const Value* config = checkpoint.side_json(kConfig);
  const std::string name = file->filename().string();
  if (file->extension() == ".json") return from_json(*checkpoint.side_json(name), *file, config, {});
  return from_bytes(read_file(*file), name, config, {}, false);
}

std::shared_ptr<const Tokenizer> Tokenizer::from_file(const fs::path& given, const BareOptions& options) {
  fs::path path = given;
  if (fs::is_directory(path)) {
    const auto file = file_of(path);
    if (!file) fail(ErrorCode::not_found, "[tokenizer] none of {} in {}", known_names(), path.string());
    path = *file;
  }
  const std::string name = path.filename().string();
  const fs::path side = path.parent_path() / kConfig;
  Value config;
  if ((std::ranges::find(kNames, name) != std::end(kNames) || is_dated(path) || name == kVocab) && fs::exists(side))
    config = parse_json(read_file(side), side.string());
  const Value* const beside = config.is_null() ? nullptr : &config;
  const std::string bytes = read_file(path);
  const size_t start = bytes.find_first_not_of(" \t\r\n");
  if (start != std::string::npos && bytes[start] == '{')
    return from_json(parse_json(bytes, path.string()), path, beside, options);
  return from_bytes(bytes, name, beside, options, true);
}

}  // namespace tenon
