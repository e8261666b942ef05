// safetensors and model directories: what is read, and tables of hostile files with the words that refuse each.
#include <doctest/doctest.h>

#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "checkpoint/parse.hpp"
#include "files.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {

struct Case {
  std::string what;
  std::string file;
  std::vector<std::string> words;
};

std::string entry(const char* name, const char* dtype, const char* shape, const char* offsets) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", name, dtype, shape, offsets);
}

std::string object(const std::vector<std::string>& members) { return fmt::format("{{{}}}", fmt::join(members, ",")); }

std::string one(const char* dtype, const char* shape, const char* offsets, size_t data) {
  return safetensors(object({entry("w", dtype, shape, offsets)}), data);
}

std::string two(const char* offsets_a, const char* offsets_b, size_t data) {
  return safetensors(object({entry("a", "I8", "[4]", offsets_a), entry("b", "I8", "[4]", offsets_b)}), data);
}

}  // namespace

TEST_CASE("tensors in header order, data in any order, scalars and empty ones") {
  const std::string header = object({R"("__metadata__":{"format":"pt"})", entry("b", "F32", "[2,3]", "[4,28]"),
                                     entry("a", "F32", "[]", "[0,4]"), entry("e", "F16", "[0,7]", "[4,4]")});
  const std::string file = safetensors(header + "   ", 28);
  const auto tensors = parse_safetensors(bytes_of(file), "m.safetensors");
  REQUIRE(tensors.size() == 3);
  CHECK(tensors[0].name == "b");
  CHECK(tensors[0].shape == std::vector<int64_t>{2, 3});
  CHECK(tensors[0].offset == file.size() - 24);
  CHECK(tensors[1].shape.empty());
  CHECK(tensors[1].bytes == 4);
  CHECK(tensors[2].bytes == 0);
}

TEST_CASE("hostile safetensors") {
  const std::string deep = object({fmt::format(R"("w":{}{})", std::string(1000, '['), std::string(1000, ']'))});
  const std::vector<Case> cases = {
      {"empty", "", {"header length", "8 bytes", "has 0"}},
      {"length of 2^60", Bytes().u64(uint64_t{1} << 60).raw("{}").s, {"1152921504606846976", "100000000"}},
      {"length past the end", Bytes().u64(1000).raw("{}").s, {"header length is 1000", "has 2"}},
      {"no JSON", safetensors("hello", 0), {"header", "JSON"}},
      {"array", safetensors("[]", 0), {"header", "expected object, found array"}},
      {"deep", safetensors(deep, 0), {"deeper than 4 levels"}},
      {"duplicate",
       safetensors(object({entry("w", "I8", "[1]", "[0,1]"), entry("w", "I8", "[1]", "[1,2]")}), 2),
       {"duplicate key \"w\""}},
      {"metadata number", safetensors(R"({"__metadata__":{"n":1}})", 0), {"__metadata__ \"n\"", "expected string"}},
      {"metadata list", safetensors(R"({"__metadata__":[]})", 0), {"__metadata__", "expected object"}},
      {"tensor null", safetensors(R"({"w":null})", 0), {"tensor \"w\"", "expected object, found null"}},
      {"no dtype", safetensors(R"({"w":{"shape":[],"data_offsets":[0,0]}})", 0), {"tensor \"w\"", "dtype is missing"}},
      {"dtype number", safetensors(R"({"w":{"dtype":5}})", 0), {"dtype: expected string, found integer"}},
      {"dtype unknown", one("F8_E8M0", "[1]", "[0,1]", 1), {"tensor \"w\"", "F8_E8M0", "not supported"}},
      {"block dtype", one("Q4_0", "[32]", "[0,18]", 18), {"Q4_0", "not supported"}},
      {"shape text", one("I8", "\"1\"", "[0,1]", 1), {"shape: expected array, found string"}},
      {"shape real", one("I8", "[1.5]", "[0,1]", 1), {"shape: expected integer, found number"}},
      {"shape negative", one("I8", "[-1]", "[0,1]", 1), {"shape: -1 is below 0"}},
      {"rank 9", one("I8", "[1,1,1,1,1,1,1,1,1]", "[0,1]", 1), {"9 dimensions", "8"}},
      {"elements overflow", one("I8", "[4294967296,4294967296]", "[0,1]", 1), {"\"w\"", "4294967296 * 4294967296"}},
      {"bytes overflow", one("F64", "[4611686018427387904]", "[0,8]", 8), {"4611686018427387904 * 8"}},
      {"offsets of one", one("I8", "[1]", "[0]", 1), {"data_offsets has 1 elements, not 2"}},
      {"offsets swapped", one("I8", "[1]", "[1,0]", 1), {"begin at 1 and end at 0"}},
      {"offsets negative", one("I8", "[1]", "[-1,0]", 1), {"data_offsets: -1 is below 0"}},
      {"offsets real", one("I8", "[1]", "[0,1.0]", 1), {"data_offsets: expected integer"}},
      {"offsets of 2^64", one("I8", "[1]", "[0,18446744073709551616]", 1), {"expected integer, found number"}},
      {"past the end", one("I8", "[4]", "[0,4]", 3), {"tensor \"w\"", "end at 4", "3 bytes of data"}},
      {"size differs", one("F32", "[2,3]", "[0,20]", 20), {"F32 of shape [2, 3] takes 24 bytes", "give 20"}},
      {"hole", two("[0,4]", "[8,12]", 12), {"tensor \"b\"", "begins at 8", "ends at 4"}},
      {"overlap", two("[0,4]", "[2,6]", 6), {"tensor \"b\"", "begins at 2", "ends at 4"}},
      {"same place", two("[0,4]", "[0,4]", 4), {"begins at 0", "ends at 4"}},
      {"hole at the start", one("I8", "[1]", "[1,2]", 2), {"begins at 1", "ends at 0"}},
      {"left over", one("I8", "[1]", "[0,1]", 9), {"cover 1 bytes", "9 bytes of data"}},
  };
  for (const Case& c : cases) {
    INFO(c.what);
    const Refusal refusal = refusal_of([&] { parse_safetensors(bytes_of(c.file), "m.safetensors"); });
    INFO(refusal.message);
    CHECK((refusal.code == ErrorCode::bad_model || refusal.code == ErrorCode::unsupported));
    CHECK(refusal.message.starts_with("[m.safetensors] "));
    for (const std::string& word : c.words) CHECK(has(refusal.message, word));
  }
}

TEST_CASE("a model directory: config, tensors, further JSON files") {
  const TempDir dir;
  const auto open = [&] { return refusal_of([&] { Checkpoint::open(dir.path()); }); };
  CHECK(open().code == ErrorCode::not_found);
  CHECK(has(open().message, "without config.json"));
  dir.write("config.json", "[]");
  CHECK(open().message == "[config.json] expected object, found array");
  dir.write("config.json", "{\"a\":");
  CHECK(has(open().message, "[config.json] JSON"));
  dir.write("config.json", R"({"hidden_size": 8, "rope": {"theta": 1e4, "none": null}})");
  CHECK(has(open().message, "no *.safetensors"));
  dir.write("weights.safetensors", one("I8", "[4]", "[0,4]", 4));
  dir.write("tokenizer_config.json", R"({"model_max_length": 1000000000000000019884624838656})");
  dir.write("broken.json", "{");

  const auto model = Checkpoint::open(dir.path());
  CHECK(model->format() == Format::safetensors);
  CHECK(model->meta("rope.theta")->as_double() == 1e4);
  CHECK(model->meta("rope.none") == nullptr);
  REQUIRE(model->find("w") != nullptr);
  CHECK(model->find("w")->tensor.data[3] == std::byte{1});
  CHECK(model->side_json("generation_config.json") == nullptr);
  const Value* side = model->side_json("tokenizer_config.json");
  REQUIRE(side != nullptr);
  CHECK(side->find("model_max_length")->as_double() == 1e30);
  CHECK(model->side_json("tokenizer_config.json") == side);
  CHECK_THROWS_AS(model->side_json("broken.json"), Error);
  CHECK_THROWS_AS(model->side_json("../config.json"), Error);

  dir.write("second.safetensors", one("I8", "[4]", "[0,4]", 4));
  CHECK(has(open().message, "2 safetensors files"));
  dir.write("model.safetensors", one("I8", "[4]", "[0,4]", 4));
  CHECK(Checkpoint::open(dir.path())->find("w")->file == "model.safetensors");
}

TEST_CASE("a tensor that is not aligned in its file is readable through a typed pointer") {
  const TempDir dir;
  dir.write("config.json", "{}");
  Bytes b = Bytes().str(object({entry("a", "I8", "[3]", "[0,3]"), entry("w", "F32", "[2]", "[3,11]")}));
  dir.write("model.safetensors", b.raw("abc").put(1.5f).put(-2.0f).s);
  const auto model = Checkpoint::open(dir.path());
  const HostTensor& w = model->find("w")->tensor;
  CHECK(reinterpret_cast<uintptr_t>(w.data) % 4 == 0);
  CHECK(reinterpret_cast<const float*>(w.data)[1] == -2.0f);
}

TEST_CASE("shards by an index, whose file names cannot leave the directory") {
  const TempDir dir;
  dir.write("config.json", "{}");
  dir.write("s1.safetensors", safetensors(object({entry("a", "I8", "[4]", "[0,4]")}), 4));
  dir.write("s2.safetensors", safetensors(object({entry("b", "I8", "[4]", "[0,4]")}), 4));
  const auto index = [&](const std::string& map) {
    dir.write("model.safetensors.index.json", fmt::format(R"({{"metadata":{{"total_size":8}},"weight_map":{}}})", map));
    return refusal_of([&] { Checkpoint::open(dir.path()); }).message;
  };
  CHECK(index(R"({"a":"s1.safetensors","b":"s2.safetensors"})") == "accepted");
  const auto model = Checkpoint::open(dir.path());
  CHECK(model->tensors().size() == 2);
  CHECK(model->find("b")->file == "s2.safetensors");

  for (const char* name : {"../s1.safetensors", "/etc/s1.safetensors", "x/s1.safetensors", "..", ".", "", "s1.bin",
                           "a\\\\s1.safetensors", "s1\\u0000.safetensors"}) {
    INFO(name);
    CHECK(has(index(fmt::format(R"({{"a":"{}"}})", name)), "is no plain name of a safetensors file"));
  }
  CHECK(has(index(R"({"a":5})"), "weight_map \"a\": expected string, found integer"));
  CHECK(has(index("[]"), "weight_map is no object"));
  CHECK(has(index(R"({"a":"s3.safetensors"})"), "s3.safetensors\", which is not there"));
  CHECK(has(index(R"({"a":"s1.safetensors","c":"s2.safetensors"})"),
            "tensor \"c\" in \"s2.safetensors\", it is in no file"));
  CHECK(has(index(R"({"a":"s2.safetensors","b":"s1.safetensors"})"), "it is in \"s1.safetensors\""));
  dir.write("s2.safetensors", safetensors(object({entry("a", "I8", "[4]", "[0,4]")}), 4));
  CHECK(has(index(R"({"a":"s1.safetensors","b":"s2.safetensors"})"), "tensor \"a\" is also in"));
}

TEST_CASE("folders that follow the model bring their config and their tensors") {
  const TempDir dir;
  const std::string tensor = one("F32", "[2]", "[0,8]", 8);
  dir.write("config.json", R"({"model_type":"m"})");
  dir.write("model.safetensors", tensor);
  for (const char* folder : {"1_Pooling", "2_Dense", "3_Empty", "notes", "x_Dense", "4_", "123_Dense"})
    std::filesystem::create_directory(dir.path() / folder);
  dir.write("1_Pooling/config.json", R"({"pooling_mode_mean_tokens":true})");
  dir.write("2_Dense/config.json", R"({"in_features":2})");
  for (const char* folder : {"2_Dense", "3_Empty", "x_Dense", "4_", "123_Dense"})
    dir.write(std::string(folder) + "/model.safetensors", tensor);
  const auto checkpoint = Checkpoint::open(dir.path());
  CHECK(checkpoint->tensors().size() == 2);
  CHECK(checkpoint->find("w") != nullptr);
  CHECK(checkpoint->find("2_Dense.w") != nullptr);
  REQUIRE(checkpoint->meta("modules.2_Dense.in_features") != nullptr);
  CHECK(checkpoint->meta("modules.2_Dense.in_features")->as_int() == 2);
  CHECK(checkpoint->meta("modules.1_Pooling.pooling_mode_mean_tokens") != nullptr);
  CHECK(checkpoint->meta("modules.3_Empty") == nullptr);

  dir.write("2_Dense/config.json", "[1");
  CHECK(has(refusal_of([&] { Checkpoint::open(dir.path()); }).message, "config.json"));
}
