// The shared model fixtures open, in both formats, and tokenizer-sized metadata loads fast.
#include "fixtures.hpp"

#include <doctest/doctest.h>

#include <chrono>

#include "checkpoint/checkpoint.hpp"
#include "files.hpp"

using namespace tenon;
namespace fs = std::filesystem;

namespace {

void check_model(const fs::path& path) {
  INFO(path.string());
  const auto model = Checkpoint::open(path);
  CHECK(model->tensors().size() > 0);
  CHECK(!model->metadata().as_object().empty());
  for (const StoredTensor& t : model->tensors()) {
    REQUIRE(model->find(t.name) == &t);
    REQUIRE(t.tensor.bytes == static_cast<uint64_t>(t.tensor.rows()) * t.tensor.row_bytes());
  }
  if (model->format() == Format::safetensors) {
    model->side_json("tokenizer.json");
    model->side_json("generation_config.json");
  }
}

}  // namespace

TEST_CASE("shared fixtures open") {
  const auto root = test::shared("models");
  if (!root) return;
  int models = 0;
  for (const fs::directory_entry& row : fs::directory_iterator(*root)) {
    if (!row.is_directory()) continue;
    for (const fs::path& path : {row.path() / "model.gguf", row.path() / "hf"})
      if (fs::exists(path)) check_model(path), ++models;
    if (fs::exists(row.path() / "quant"))
      for (const fs::directory_entry& file : fs::directory_iterator(row.path() / "quant"))
        if (file.path().extension() == ".gguf") check_model(file.path()), ++models;
  }
  MESSAGE(models, " checkpoints opened");
  CHECK(models > 0);
}

TEST_CASE("250,000 strings load in a moment") {
  test::Bytes b = test::Bytes().header(0, 1).str("tokenizer.ggml.tokens").u32(9).u32(8).u64(250000);
  for (int i = 0; i < 250000; ++i) b.str("token" + std::to_string(i));
  const test::TempDir dir;
  const fs::path path = dir.write("vocab.gguf", b.s);
  const auto start = std::chrono::steady_clock::now();
  const auto model = Checkpoint::open(path);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  CHECK(model->meta("tokenizer.ggml.tokens")->as_array().size() == 250000);
  MESSAGE("250,000 strings: ", took.count(), " ms");
  CHECK(took.count() < 1000);  // generous: sanitizers and busy machines share this test
}
