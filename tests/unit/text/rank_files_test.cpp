// Vocabularies by rank: tiktoken files, bare and of a checkpoint, and tekken.json. A small vocabulary whose merges can
// be read off its ranks, and broken files.
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/error.hpp"
#include "text/base64.hpp"
#include "text/tokenizer_build.hpp"

using namespace tenon;

namespace {

using Ids = std::vector<int32_t>;
namespace fs = std::filesystem;

std::string base64(std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) out += i + k > bytes.size() ? '=' : kDigits[bits >> (18 - 6 * k) & 63];
  }
  return out;
}

// Ranks 0..255 are the bytes; "bcd" can be reached by merging, "xyz" only as a whole word.
const std::vector<std::string>& longer() {
  static const std::vector<std::string> tokens = {"bc", "ab", "cd", "bcd", "abcd", "aa", "xyz", " a"};
  return tokens;
}
constexpr int32_t kBc = 256, kAb = 257, kCd = 258, kAbcd = 260, kAa = 261, kXyz = 262, kSpaceA = 263, kRanks = 264;

std::string rank_file() {
  std::string out;
  for (int b = 0; b < 256; ++b) out += base64({reinterpret_cast<const char*>(&b), 1}) + " " + std::to_string(b) + "\n";
  for (size_t i = 0; i < longer().size(); ++i) out += base64(longer()[i]) + " " + std::to_string(256 + i) + "\n";
  return out;
}

std::shared_ptr<const Tokenizer> bare(const std::string& bytes) {
  return tokenizer_from_ranks(bytes, "test.tiktoken", BareOptions{.pre = "gpt-2"});
}

struct Folder {
  fs::path path = fs::temp_directory_path() / ("tenon-rank-files-" + std::to_string(getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  fs::path write(const std::string& name, const std::string& text) const {
    std::ofstream(path / name, std::ios::binary) << text;
    return path / name;
  }
};

std::string tekken(const std::string& special, const std::string& version = "v3", int size = kRanks + 30) {
  std::string out = R"({"config":{"pattern":" ?\\p{L}+|\\s+|.","default_vocab_size":)" + std::to_string(size) +
                    R"(,"default_num_special_tokens":30,"version":")" + version + R"("},"vocab":[)";
  for (int rank = 0; rank < kRanks; ++rank) {
    const std::string token =
        rank < 256 ? std::string(1, static_cast<char>(rank)) : longer()[static_cast<size_t>(rank - 256)];
    out += (rank ? "," : "") + std::string(R"({"rank":)") + std::to_string(rank) + R"(,"token_bytes":")" +
           base64(token) + R"("})";
  }
  return out + "]" + special + "}";
}

std::shared_ptr<const Tokenizer> from_tekken(const std::string& json, const BareOptions& options = {}) {
  return tokenizer_from_tekken(parse_json(json, "test"), "tekken.json", nullptr, options);
}

}  // namespace

TEST_CASE("base64") {
  CHECK(decode_base64("").value() == "");
  CHECK(decode_base64("YWI=").value() == "ab");
  CHECK(decode_base64("YQ==").value() == "a");
  CHECK(decode_base64("/+8A").value() == std::string("\xff\xef\0", 3));
  for (const char* bad : {"Y", "YQ=", "YQ=a", "=YQ=", "Y===", "Y Q=", "YQ\n="}) CHECK_FALSE(decode_base64(bad));
}

TEST_CASE("neighbours merge by the rank of what they make, whole words at once") {
  const auto t = bare(rank_file());
  CHECK(t->encode("abcd", {}) == Ids{kAbcd});
  CHECK(t->encode("abcdz", {}) == Ids{kAbcd, 'z'});  // bc, then bcd, then abcd
  CHECK(t->encode("abcz", {}) == Ids{'a', kBc, 'z'});
  CHECK(t->encode("aaa", {}) == Ids{kAa, 'a'});
  CHECK(t->encode("xyz", {}) == Ids{kXyz});
  CHECK(t->encode("xyzz", {}) == Ids{'x', 'y', 'z', 'z'});
  CHECK(t->encode("z a\xff", {}) == Ids{'z', kSpaceA, 0xff});
  CHECK(t->decode(Ids{kAb, kCd, 0xff}) == "abcd\xff");
  CHECK(t->encode("", {}).empty());
}

TEST_CASE("words of every length merge alike") {
  const auto t = bare(rank_file());
  // As it is defined: the lowest rank anywhere, the leftmost of equals.
  const auto plainly = [&](const std::string& word) {
    std::vector<std::string> parts;
    for (const char c : word) parts.emplace_back(1, c);
    for (;;) {
      size_t best = parts.size();
      int32_t rank = kRanks;
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        const int32_t id = t->token_to_id(parts[i] + parts[i + 1]).value_or(kRanks);
        if (id < rank) rank = id, best = i;
      }
      if (best == parts.size()) break;
      parts[best] += parts[best + 1];
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    Ids ids;
    for (const std::string& part : parts) ids.push_back(*t->token_to_id(part));
    return ids;
  };
  uint32_t seed = 1;
  for (const size_t length : {5u, 60u, 64u, 65u, 70u, 500u}) {
    std::string word;
    while (word.size() < length) word += static_cast<char>('a' + ((seed = seed * 1664525 + 1013904223) >> 16) % 4);
    CAPTURE(word);
    const Ids wanted = plainly(word);
    CHECK(t->encode(word, {}) == wanted);
    // The same word again and again, apart by what merges with nothing, is one long word of letters.
    std::string many;
    Ids all;
    while (many.size() < 40'000) {
      many += word + "z";
      all.insert(all.end(), wanted.begin(), wanted.end());
      all.push_back('z');
    }
    CHECK(t->encode(many, {}) == all);
  }
  CHECK(t->encode(std::string(1 << 20, 'a'), {}) == Ids(1 << 19, kAa));
}

TEST_CASE("a tiktoken file alone wants its pattern, and takes special tokens and NFC") {
  const Folder folder;
  const fs::path file = folder.write("x.tiktoken", rank_file());
  const fs::path special = folder.write("special.json", R"({"<|x|>": 270, "<|endoftext|>": 264})");
  CHECK_THROWS_WITH_AS(Tokenizer::from_file(file),
                       "[x.tiktoken] a tiktoken file has no pattern: --pre NAME says which it is", Error);
  CHECK_THROWS_AS(Tokenizer::from_file(file, {.pre = "no-such"}), Error);
  const auto t = Tokenizer::from_file(file, {.pre = "gpt-2", .special = special, .nfc = true});
  CHECK(t->encode("a<|x|>", {true, true}) == Ids{'a', 270});
  CHECK(t->encode("<|x|>", {true, false}).size() == 5);
  CHECK(t->stop_ids() == Ids{264});
  CHECK(t->size() == 271);
  CHECK(t->encode("e\xcc\x81", {}) == Ids{0xc3, 0xa9});
  CHECK(bare(rank_file())->encode("e\xcc\x81", {}) == Ids{'e', 0xcc, 0x81});
  for (const char* bad : {"[]", R"({"a": -1})", R"({"a": 4194304})", R"({"a": "1"})", R"({"a": 5})"})
    CHECK_THROWS_AS(Tokenizer::from_file(file, {.pre = "gpt-2", .special = folder.write("bad.json", bad)}), Error);
}

TEST_CASE("broken tiktoken files") {
  for (const char* bad : {"", "YQ== 0", "YQ==\n", "YQ== x\n", "YQ== 4194304\n", "Y 0\n", " 0\n", "YQ== 0\nYQ== 1\n",
                          "YQ== 0\nYg== 0\n", "YQ== 18446744073709551616\n", "YQ== -1\n"})
    CHECK_THROWS_AS(bare(bad), Error);
  CHECK_THROWS_WITH_AS(bare(rank_file().substr(rank_file().find('\n') + 1)),
                       "[test.tiktoken] the byte 0x00 has no rank", Error);
  CHECK(bare(rank_file() + "\r\n\n")->size() == kRanks);
  CHECK(is_rank_file("YQ== 0\r\nYg== 1"));
  for (const char* other : {"", "{\"a\": 1}", "1 'a' 1\n", "\n\x05", "YQ== x\n"}) CHECK_FALSE(is_rank_file(other));
}

TEST_CASE("the tiktoken.model of a checkpoint goes by its tokenizer class") {
  const auto config = [](const std::string& named) {
    return parse_json(R"({"auto_map":{"AutoTokenizer":["code.TikTokenTokenizer",null]},"bos_token":"[BOS]",)"
                      R"("eos_token":"[EOS]","added_tokens_decoder":{"264":{"content":"[BOS]","special":true},)"
                      R"("265":{"content":"[EOS]","special":true},"266":{"content":"<think>","special":false})" +
                          named + "}}",
                      "test");
  };
  const Value usual = config("");
  const auto t = tokenizer_from_ranks(rank_file(), "tiktoken.model", &usual, {});
  CHECK(t->size() == kRanks + 256);
  CHECK(t->encode("ab\xe4\xb8\xad", {}) == Ids{kAb, 0xe4, 0xb8, 0xad});
  CHECK(t->encode("[BOS]<|reserved_token_267|>", {true, true}) == Ids{264, 267});
  CHECK(t->encode("<think>", {true, false}).size() == 7);
  CHECK(t->decode(Ids{264, 266, 'a'}, true) == "<think>a");
  CHECK(t->stop_ids() == Ids{265});
  CHECK(t->special_tokens().at("bos_token") == "[BOS]");
  const Value outside = config(R"(,"5":{"content":"x"})");
  CHECK_THROWS_AS(tokenizer_from_ranks(rank_file(), "tiktoken.model", &outside, {}), Error);
  const Value other = parse_json(R"({"tokenizer_class": "OtherTokenizer"})", "test");
  CHECK_THROWS_WITH_AS(
      tokenizer_from_ranks(rank_file(), "tiktoken.model", &other, {}),
      "[tokenizer_config.json] tokenizer class 'OtherTokenizer', whose pattern for tiktoken.model is not known", Error);
  CHECK_THROWS_AS(tokenizer_from_ranks(rank_file(), "tiktoken.model", nullptr, {}), Error);
}

TEST_CASE("tekken.json: special tokens first, its own list or the older versions'") {
  const auto t = from_tekken(tekken(""));
  CHECK(t->size() == kRanks + 30);
  CHECK(t->encode("abcd", {}) == Ids{1, kAbcd + 30});
  CHECK(t->encode("[INST]", {false, true}) == Ids{3});
  CHECK(t->encode("<SPECIAL_29>", {false, true}) == Ids{29});
  CHECK(t->stop_ids() == Ids{2});
  CHECK(from_tekken(tekken("", "v3", 30 + 262))->size() == 292);  // higher ranks are left out
  const auto listed = from_tekken(tekken(R"(,"special_tokens":[{"rank":0,"token_str":"<unk>","is_control":true},
      {"rank":1,"token_str":"<s>","is_control":true},{"rank":7,"token_str":"[THINK]","is_control":false}])",
                                         "v13"));
  CHECK(listed->encode("[THINK]", {true, true}) == Ids{1, 7});
  CHECK(listed->decode(Ids{1, 7}, true) == "[THINK]");
  CHECK_THROWS_WITH_AS(from_tekken(tekken("", "v13")), "[tekken.json] version 'v13' without special_tokens", Error);
  CHECK_THROWS_AS(from_tekken(tekken("", "v3", kRanks + 31)), Error);
  CHECK_THROWS_AS(from_tekken(tekken("", "v3", 29)), Error);
  CHECK_THROWS_AS(from_tekken(tekken(R"(,"special_tokens":[{"rank":30,"token_str":"a"}])")), Error);
  CHECK_THROWS_AS(from_tekken(tekken(R"(,"special_tokens":[{"rank":1,"token_str":"a"},{"rank":1,"token_str":"b"}])")),
                  Error);
}

TEST_CASE("a folder's files are taken in order, and flags are refused where files say it themselves") {
  const Folder folder;
  folder.write("tiktoken.model", rank_file());
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "TikTokenTokenizer"})");
  CHECK(Tokenizer::from_file(folder.path)->size() == kRanks + 256);
  const fs::path json = folder.write("tekken.json", tekken(""));
  CHECK(Tokenizer::from_file(folder.path)->size() == kRanks + 30);
  CHECK_THROWS_WITH_AS(Tokenizer::from_file(json, {.pre = "gpt-2"}), "[--pre] tekken.json has a pattern of its own",
                       Error);
  CHECK_THROWS_AS(Tokenizer::from_file(folder.path / "nothing"), Error);
  const fs::path special = folder.write("special.json", R"({"<x>": 999})");
  CHECK(Tokenizer::from_file(folder.path / "tiktoken.model", {.special = special})->size() == 1000);
  CHECK(Tokenizer::from_file(folder.path / "tiktoken.model", {.pre = "gpt-2"})->size() == kRanks);
}

TEST_CASE("vocab.json and merges.txt by their tokenizer class") {
  const Folder folder;
  folder.write("vocab.json",
               R"({"<s>":0,"</s>":1,"h":2,"e":3,"l":4,"o":5,"he":6,"ll":7,"hell":8,"\u0120h":9,"\u0120":10,)"
               R"("1":11,"2":12})");
  folder.write("merges.txt", "#version: 0.2\nh e\r\nl l\nhe ll\n\n\xc4\xa0 h\n");
  const auto with = [&](const std::string& config) {
    folder.write("tokenizer_config.json", config);
    return Tokenizer::from_file(folder.path);
  };
  const auto gpt2 = with(R"({"tokenizer_class":"GPT2TokenizerFast","eos_token":"</s>"})");
  CHECK(gpt2->encode("hello h", {}) == Ids{8, 5, 9});
  CHECK(gpt2->encode("hell</s>", {true, true}) == Ids{8, 1});
  CHECK(gpt2->stop_ids() == Ids{1});
  CHECK(with(R"({"tokenizer_class":"RobertaTokenizer","add_prefix_space":true})")->encode("he", {}) ==
        Ids{0, 10, 6, 1});
  CHECK(with(R"({"tokenizer_class":"Qwen2Tokenizer"})")->encode("12", {}) == Ids{11, 12});
  CHECK_THROWS_AS(with(R"({"tokenizer_class":"OtherTokenizer"})"), Error);
  CHECK_THROWS_AS(with("{}"), Error);
}
