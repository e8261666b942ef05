// GGUF: what is read, a table of hostile files with the words that refuse each, and split sets.
#include <doctest/doctest.h>

#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "checkpoint/parse.hpp"
#include "files.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {

constexpr uint64_t kHuge = uint64_t{1} << 63;

// One F32 tensor "w" of 8 elements.
std::string small_file() { return Bytes().header(1, 0).tensor("w", {8}, 0, 0).pad(32).raw(std::string(32, '\0')).s; }

struct Case {
  std::string what;
  std::string file;
  std::vector<std::string> words;  // all of them occur in the message, beside the file's name
};

void check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    INFO(c.what);
    const Refusal refusal = refusal_of([&] { parse_gguf(bytes_of(c.file), "m.gguf"); });
    INFO(refusal.message);
    CHECK((refusal.code == ErrorCode::bad_model || refusal.code == ErrorCode::unsupported));
    CHECK(refusal.message.starts_with("[m.gguf] "));
    for (const std::string& word : c.words) CHECK(has(refusal.message, word));
  }
}

Bytes kv(uint32_t type) { return Bytes().header(0, 1).str("k").u32(type); }
Bytes one(std::initializer_list<uint64_t> dims, uint32_t type, uint64_t offset = 0) {
  return Bytes().header(1, 0).tensor("w", dims, type, offset).pad(32).raw(std::string(64, '\0'));
}
std::string array_kv(uint32_t element, uint64_t n, std::string_view rest = {}) {
  return kv(9).u32(element).u64(n).raw(rest).raw(std::string(16, '\0')).s;
}

}  // namespace

TEST_CASE("every value type is read") {
  Bytes b = Bytes().header(0, 15);
  b.str("u8").u32(0).put(uint8_t{200}).str("i8").u32(1).put(int8_t{-100});
  b.str("u16").u32(2).put(uint16_t{60000}).str("i16").u32(3).put(int16_t{-30000});
  b.str("u32").u32(4).u32(4000000000u).str("i32").u32(5).put(int32_t{-2000000000});
  b.str("f32").u32(6).put(0.1f).str("bool").u32(7).put(uint8_t{1}).str("string").u32(8).str("text");
  b.str("u64").u32(10).u64(5).str("u64 high").u32(10).u64(kHuge).str("i64").u32(11).put(int64_t{-6});
  b.str("f64").u32(12).put(0.1).str("ints").u32(9).u32(5).u64(2).put(int32_t{-1}).put(int32_t{7});
  b.str("strings").u32(9).u32(8).u64(2).str("a").str("");
  const Value v = parse_gguf(bytes_of(b.s), "m.gguf").metadata;
  CHECK(v.find("u8")->as_int() == 200);
  CHECK(v.find("i8")->as_int() == -100);
  CHECK(v.find("u16")->as_int() == 60000);
  CHECK(v.find("i16")->as_int() == -30000);
  CHECK(v.find("u32")->as_int() == 4000000000);
  CHECK(v.find("i32")->as_int() == -2000000000);
  CHECK(v.find("f32")->as_double() == double{0.1f});
  CHECK(v.find("bool")->as_bool());
  CHECK(v.find("string")->as_string() == "text");
  CHECK(v.find("u64")->as_int() == 5);
  CHECK(v.find("u64 high")->as_double() == 0x1p63);
  CHECK(v.find("i64")->as_int() == -6);
  CHECK(v.find("f64")->as_double() == 0.1);
  CHECK(v.find("ints")->as_array()[1].as_int() == 7);
  CHECK(v.find("strings")->as_array()[1].as_string().empty());
}

TEST_CASE("tensors: shape turned round, offset from the file's start, version 2 alike, own alignment") {
  for (uint32_t version : {2u, 3u}) {
    Bytes b = Bytes().header(2, 1, version).kv_u32("general.alignment", 64);
    b.tensor("a", {32, 3}, 2, 0).tensor("b", {2, 1, 1, 5}, 1, 64).pad(64).raw(std::string(64 + 20, '\0'));
    const auto tensors = parse_gguf(bytes_of(b.s), "m.gguf").tensors;
    REQUIRE(tensors.size() == 2);
    CHECK(tensors[0].dtype == DType::q4_0);
    CHECK(tensors[0].shape == std::vector<int64_t>{3, 32});
    CHECK(tensors[0].bytes == 54);
    CHECK(tensors[1].shape == std::vector<int64_t>{5, 1, 1, 2});
    CHECK(tensors[1].offset == tensors[0].offset + 64);
    CHECK(tensors[0].offset % 64 == 0);
  }
}

TEST_CASE("types without a reference are listed") {
  const auto tensors = parse_gguf(bytes_of(one({256}, 16).raw(std::string(64, '\0')).s), "m.gguf").tensors;
  CHECK(tensors.at(0).dtype == DType::iq2_xxs);
}

TEST_CASE("hostile headers") {
  check({
      {"empty", "", {"header", "magic", "needs 4 bytes", "0 are left"}},
      {"short magic", "GG", {"magic", "2 are left"}},
      {"other magic", "PK\3\4 and more", {"header", "magic", "PK"}},
      {"no version", "GGUF", {"version", "needs 4 bytes"}},
      {"version 0", Bytes().header(0, 0, 0).s, {"version 0", "neither 2 nor 3"}},
      {"version 1", Bytes().header(0, 0, 1).s, {"version 1"}},
      {"version 4", Bytes().header(0, 0, 4).s, {"version 4"}},
      {"big-endian", Bytes().header(0, 0, 0x03000000).s, {"50331648", "byte-swapped 3", "big-endian"}},
      {"no counts", Bytes().raw("GGUF").u32(3).u32(0).s, {"tensor count", "8 bytes", "4 are left"}},
      {"2^63 tensors", Bytes().header(kHuge, 0).s, {"tensor count", "9223372036854775808", "1000000"}},
      {"2^63 key-values", Bytes().header(0, kHuge).s, {"key-value count", "9223372036854775808", "65536"}},
      {"counts beyond the file", Bytes().header(1000000, 65536).s, {"1000000 tensors", "65536", "0 are left"}},
  });
}

TEST_CASE("hostile key-values") {
  check({
      {"empty key", Bytes().header(0, 1).str("").raw(std::string(20, '\0')).s, {"key", "0 bytes", "least is 1"}},
      {"key of 2^63", Bytes().header(0, 1).u64(kHuge).raw(std::string(20, '\0')).s, {"9223372036854775808", "65535"}},
      {"key past the end", Bytes().header(0, 1).u64(100).raw("abcdefgh").s, {"key", "needs 100 bytes", "8 are left"}},
      {"key no UTF-8", Bytes().header(0, 1).str("\xff\xfe").u32(0).raw("\1\1\1\1").s, {"not UTF-8"}},
      {"unknown type", kv(13).u64(0).s, {"key \"k\"", "type 13", "12"}},
      {"negative type", kv(0xffffffff).u64(0).s, {"type 4294967295"}},
      {"bool 7", kv(7).raw("\7").s, {"key \"k\"", "bool is 7"}},
      {"string of 2^63", kv(8).u64(kHuge).s, {"string", "9223372036854775808", "67108864"}},
      {"string past the end", kv(8).u64(1000).s, {"string", "needs 1000 bytes", "0 are left"}},
      {"value cut off", kv(12).u32(0).s, {"key \"k\"", "needs 8 bytes", "4 are left"}},
      {"array of arrays", array_kv(9, 1), {"array of arrays"}},
      {"array of unknown", array_kv(77, 1), {"element type 77"}},
      {"array of 2^63", array_kv(4, kHuge), {"9223372036854775808", "8388608"}},
      {"array past the end", array_kv(4, 1000), {"array", "needs 4000 bytes", "16 are left"}},
      {"strings past the end", array_kv(8, 3), {"array", "needs 24 bytes", "16 are left"}},
      {"string element past the end", array_kv(8, 2, Bytes().u64(1000).s), {"string", "needs 1000 bytes"}},
      {"duplicate key", Bytes().header(0, 2).kv_u32("same", 1).kv_u32("same", 2).s, {"\"same\"", "twice"}},
      {"escape in key", Bytes().header(0, 1).str("\x1b[2J\xc2\x9b").u32(99).u64(0).s, {"\"\\u001b[2J\\u009b\""}},
      {"alignment 0", Bytes().header(0, 1).kv_u32("general.alignment", 0).s, {"general.alignment", "0 is no power"}},
      {"alignment 4", Bytes().header(0, 1).kv_u32("general.alignment", 4).s, {"4 is no power of two from 8"}},
      {"alignment 24", Bytes().header(0, 1).kv_u32("general.alignment", 24).s, {"24 is no power"}},
      {"alignment text",
       Bytes().header(0, 1).str("general.alignment").u32(8).str("32").s,
       {"expected integer", "string"}},
      {"alignment huge",
       Bytes().header(0, 1).str("general.alignment").u32(10).u64(uint64_t{1} << 62).s,
       {"1073741824"}},
  });
}

TEST_CASE("hostile tensors") {
  const std::string data(64, '\0');
  check({
      {"no name", Bytes().header(1, 0).tensor("", {8}, 0, 0).raw(data).s, {"name", "0 bytes"}},
      {"rank 0", one({}, 0).s, {"tensor \"w\"", "rank 0", "1 to 4"}},
      {"rank 5", one({1, 1, 1, 1, 1}, 0).s, {"rank 5"}},
      {"dimension 0", one({8, 0}, 0).s, {"tensor \"w\"", "dimension 1 is 0"}},
      {"dimension 2^63", one({kHuge}, 0).s, {"dimension 0 is 9223372036854775808"}},
      {"elements overflow",
       one({uint64_t{1} << 40, uint64_t{1} << 40}, 0).s,
       {"\"w\"", "1099511627776 * 1099511627776"}},
      {"elements of 2^63", one({uint64_t{1} << 31, uint64_t{1} << 32}, 0).s, {"exceed 63 bits"}},
      {"bytes overflow", one({uint64_t{1} << 62}, 28).s, {"\"w\"", "4611686018427387904 * 8"}},
      {"removed type", one({32}, 4).s, {"tensor \"w\"", "type 4", "Q4_2"}},
      {"activation type", one({32}, 9).s, {"type 9", "Q8_1"}},
      {"new type", one({128}, 41).s, {"type 41", "Q1_0"}},
      {"unknown type", one({8}, 1000).s, {"type 1000", "unknown"}},
      {"row no multiple", one({33, 32}, 2).s, {"tensor \"w\"", "row length 33", "32", "Q4_0"}},
      {"offset unaligned", one({8}, 0, 8).s, {"tensor \"w\"", "offset 8", "alignment 32"}},
      {"offset past the end", one({8}, 0, 4096).s, {"tensor \"w\"", "4160 to 4192", "128 bytes"}},
      {"offset overflow", one({8}, 0, ~uint64_t{31}).s, {"tensor \"w\"", "overflows 64 bits"}},
      {"data cut off", small_file().substr(0, 90), {"tensor \"w\"", "64 to 96", "90 bytes"}},
      {"infos cut off", small_file().substr(0, 30), {"need at least 33 bytes", "6 are left"}},
      {"duplicate name",
       Bytes().header(2, 0).tensor("w", {8}, 0, 0).tensor("w", {8}, 0, 32).pad(32).raw(data).s,
       {"tensor \"w\" occurs twice"}},
      {"overlap",
       Bytes().header(2, 0).tensor("a", {16}, 0, 0).tensor("b", {8}, 0, 32).pad(32).raw(data).s,
       {"tensor \"b\"", "begins at byte 128", "tensor \"a\" ends at byte 160"}},
  });
}

TEST_CASE("every prefix of a good file is refused, none crashes") {
  Bytes b =
      Bytes().header(1, 3).kv_u32("a", 1).str("s").u32(8).str("text").str("l").u32(9).u32(8).u64(2).str("x").str("yz");
  b.tensor("w", {8, 2}, 0, 0).pad(32).raw(std::string(64, '\0'));
  CHECK(parse_gguf(bytes_of(b.s), "m.gguf").tensors.size() == 1);
  for (size_t n = 0; n < b.s.size(); ++n) {
    const std::string prefix = b.s.substr(0, n);
    REQUIRE_THROWS_AS(parse_gguf(bytes_of(prefix), "m.gguf"), Error);
  }
}

TEST_CASE("every byte changed: an error or a file whose tensors lie inside it") {
  Bytes b = Bytes().header(2, 2).kv_u32("general.alignment", 32).str("l").u32(9).u32(4).u64(2).u32(1).u32(2);
  b.tensor("v", {4}, 0, 0).tensor("w", {8, 2}, 0, 32).pad(32).raw(std::string(96, '\0'));
  for (size_t i = 0; i < b.s.size(); ++i)
    for (int value : {0, 1, 0x7f, 0x80, 0xff}) {
      std::string changed = b.s;
      changed[i] = static_cast<char>(value);
      refusal_of([&] {
        for (const TensorEntry& t : parse_gguf(bytes_of(changed), "m.gguf").tensors)
          REQUIRE((t.bytes <= changed.size() && t.offset <= changed.size() - t.bytes));
      });
    }
}

TEST_CASE("opened: metadata and tensors in place; odd paths are named") {
  const TempDir dir;
  Bytes b = Bytes().header(1, 1).kv_u32("x.block_count", 2).tensor("w", {4, 2}, 0, 0).pad(32);
  for (int i = 0; i < 8; ++i) b.put(static_cast<float>(i));
  const auto model = Checkpoint::open(dir.write("m.gguf", b.s));
  CHECK(model->format() == Format::gguf);
  CHECK(model->meta("x.block_count")->as_int() == 2);
  CHECK(model->meta("absent") == nullptr);
  CHECK(model->side_json("tokenizer.json") == nullptr);
  REQUIRE(model->find("w") != nullptr);
  CHECK(model->find("v") == nullptr);
  CHECK(model->find("w")->file == "m.gguf");
  CHECK(reinterpret_cast<const float*>(model->find("w")->tensor.row(1))[3] == 7.0f);

  const auto open = [&](const std::filesystem::path& p) { return refusal_of([&] { Checkpoint::open(p); }); };
  const Refusal absent = open(dir.path() / "absent.gguf");
  CHECK(absent.code == ErrorCode::not_found);
  CHECK(has(absent.message, "absent.gguf"));
  CHECK(open(dir.write("m.bin", "ZZZZ not a model")).message == "[m.bin] header: magic \"ZZZZ\" is not \"GGUF\"");
  CHECK(open("/dev/null").code == ErrorCode::io);
}

namespace {

// Part `no` of `count`, holding one tensor.
std::string part(const std::string& tensor, int no, int count, int total) {
  Bytes b = Bytes().header(1, 3);
  b.str("split.no").u32(2).put(static_cast<uint16_t>(no)).str("split.count").u32(2).put(static_cast<uint16_t>(count));
  b.str("split.tensors.count").u32(5).put(static_cast<int32_t>(total));
  return b.tensor(tensor, {8}, 0, 0).pad(32).raw(std::string(32, static_cast<char>(no))).s;
}

}  // namespace

TEST_CASE("split sets open by their first part") {
  const TempDir dir;
  const auto first = dir.write("m-00001-of-00003.gguf", part("a", 0, 3, 3));
  const auto second = dir.write("m-00002-of-00003.gguf", part("b", 1, 3, 3));
  const auto message = [](const std::filesystem::path& p) { return refusal_of([&] { Checkpoint::open(p); }).message; };
  CHECK(has(message(first), "m-00003-of-00003.gguf"));
  dir.write("m-00003-of-00003.gguf", part("c", 2, 3, 3));
  const auto model = Checkpoint::open(first);
  REQUIRE(model->tensors().size() == 3);
  CHECK(model->find("b")->file == "m-00002-of-00003.gguf");
  CHECK(model->find("b")->tensor.data[0] == std::byte{1});
  CHECK(has(message(second), "part 2 of 3"));
  CHECK(has(message(second), "first part m-00001-of-00003.gguf"));

  dir.write("m-00003-of-00003.gguf", part("b", 2, 3, 3));
  CHECK(has(message(first), "tensor \"b\" is also in"));
  dir.write("m-00003-of-00003.gguf", part("c", 1, 3, 3));
  CHECK(message(first) == "[m-00003-of-00003.gguf] split.no 1 and split.count 3, the file name says 2 and 3");
  dir.write("m-00003-of-00003.gguf", small_file());
  CHECK(has(message(first), "split.no -1"));
  dir.write("m-00003-of-00003.gguf", part("c", 2, 3, 3));
  dir.write("m-00001-of-00003.gguf", part("a", 0, 3, 4));
  CHECK(message(first) == "[m-00001-of-00003.gguf] split.tensors.count is 4, the 3 parts hold 3");
  CHECK(has(message(dir.write("other.gguf", part("a", 0, 3, 3))), "-00001-of-00003.gguf"));
  CHECK(has(message(dir.write("many.gguf", part("a", 0, 65535, 3))), "split.count is 65535, not from 0 to 9999"));
}

TEST_CASE("a split.count of another type is named") {
  const TempDir dir;
  const auto path = dir.write("m.gguf", Bytes().header(0, 1).str("split.count").u32(8).str("3").s);
  CHECK(refusal_of([&] { Checkpoint::open(path); }).message == "[m.gguf] split.count: expected integer, found string");
}
