// Stop ids as the files name them. Loading whole models is tested through the api room.
#include "engine/model.hpp"

#include <doctest/doctest.h>

using namespace tenon;

namespace {

class FakeCheckpoint : public Checkpoint {
 public:
  FakeCheckpoint(Format format, const char* metadata, const char* generation = nullptr) : format_(format) {
    metadata_ = parse_json(metadata, "test");
    if (generation) generation_ = parse_json(generation, "test");
  }
  Format format() const override { return format_; }
  const Value& metadata() const override { return metadata_; }
  const Value* side_json(std::string_view file) const override {
    return file == "generation_config.json" && generation_.is_object() ? &generation_ : nullptr;
  }
  std::span<const StoredTensor> tensors() const override { return {}; }
  const StoredTensor* find(std::string_view) const override { return nullptr; }
  const std::filesystem::path& path() const override { return path_; }

 private:
  Format format_;
  Value metadata_, generation_;
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("stop ids of config.json and generation_config.json together") {
  using Ids = std::vector<int32_t>;
  const FakeCheckpoint both(Format::safetensors, R"({"eos_token_id": 2})", R"({"eos_token_id": [7, 2, 5]})");
  CHECK(checkpoint_stop_ids(both, 100) == Ids{2, 5, 7});
  const FakeCheckpoint null(Format::safetensors, R"({"eos_token_id": null})");
  CHECK(checkpoint_stop_ids(null, 100).empty());
  const FakeCheckpoint odd(Format::safetensors, R"({"eos_token_id": [-1, 100, "x", 3]})", R"({"eos_token_id": "y"})");
  CHECK(checkpoint_stop_ids(odd, 100) == Ids{3});
}

TEST_CASE("stop ids of a GGUF") {
  const FakeCheckpoint gguf(Format::gguf, R"({"tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.eot_token_id": 9,
    "tokenizer.ggml.bos_token_id": 1, "eos_token_id": 4})");
  CHECK(checkpoint_stop_ids(gguf, 100) == std::vector<int32_t>{2, 9});
}

TEST_CASE("some memory is available") { CHECK(available_memory() > (uint64_t{1} << 20)); }
