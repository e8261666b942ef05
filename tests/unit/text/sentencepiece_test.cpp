// SentencePiece's BPE from tokenizer.model and from tokenizer.json: a small vocabulary whose segmentations can be read
// off its scores, and broken files.
#include <doctest/doctest.h>

#include <bit>

#include "base/error.hpp"
#include "text/tokenizer_build.hpp"

using namespace tenon;

namespace {

using Ids = std::vector<int32_t>;

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out += static_cast<char>(value);
}

std::string number(int field, uint64_t value) { return varint(static_cast<uint64_t>(field) << 3) + varint(value); }

std::string bytes(int field, const std::string& value) {
  return varint(static_cast<uint64_t>(field) << 3 | 2) + varint(value.size()) + value;
}

std::string piece(const std::string& text, float score, int type = 1) {
  const auto bits = std::bit_cast<uint32_t>(score);
  std::string out = bytes(1, text) + varint(2 << 3 | 5);
  for (int i = 0; i < 4; ++i) out += static_cast<char>(bits >> (8 * i));
  return bytes(1, out + (type == 1 ? "" : number(3, static_cast<uint64_t>(type))));
}

std::string hex_name(int byte) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  return std::string("<0x") + kDigits[byte >> 4] + kDigits[byte & 15] + ">";
}

struct Spec {
  int model_type = 2;
  bool byte_fallback = true, prefix = true, extra_spaces = false;
  std::string charsmap = {};
};

// 0..2 are <unk>, <s>, </s>; 3..258 the bytes; then the pieces below from 259 on.
constexpr int32_t kSpace = 259, kA = 260, kB = 261, kAb = 262, kSpaceA = 263, kSpaceAb = 264, kTool = 265;

std::string model(const Spec& spec = {}) {
  std::string out = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3);
  for (int b = 0; b < 256; ++b) out += piece(hex_name(b), 0, 6);
  out += piece("\xe2\x96\x81", -5) + piece("a", -6) + piece("b", -7) + piece("ab", -1) +
         piece(
             "\xe2\x96\x81"
             "a",
             -2) +
         piece(
             "\xe2\x96\x81"
             "ab",
             -3) +
         piece("[tool]", 0, 4);
  const std::string trainer = number(3, static_cast<uint64_t>(spec.model_type)) + number(35, spec.byte_fallback);
  const std::string normalizer =
      bytes(1, "nmt") + bytes(2, spec.charsmap) + number(3, spec.prefix) + number(4, !spec.extra_spaces);
  return out + bytes(2, trainer) + bytes(3, normalizer);
}

std::shared_ptr<const Tokenizer> load(const std::string& file, const char* config = nullptr) {
  if (!config) return tokenizer_from_sentencepiece(file, "tokenizer.model", nullptr);
  const Value parsed = parse_json(config, "tokenizer_config.json");
  return tokenizer_from_sentencepiece(file, "tokenizer.model", &parsed);
}

const EncodeOptions kPlain{false, false}, kSpecial{false, true};

// The same vocabulary as tokenizers' own serialisation: merges in the order of the scores.
std::string json(const std::string& normalizer, const std::string& pre, const std::string& decoders) {
  std::string vocab = R"("<unk>": 0, "<s>": 1, "</s>": 2)";
  for (int b = 0; b < 256; ++b) vocab += ", \"" + hex_name(b) + "\": " + std::to_string(3 + b);
  vocab += R"(, "▁": 259, "a": 260, "b": 261, "ab": 262, "▁a": 263, "▁ab": 264)";
  return R"({"added_tokens": [{"id": 1, "content": "<s>", "special": true, "normalized": false},
                              {"id": 265, "content": "[tool]", "special": false, "normalized": false}],
             "normalizer": )" +
         normalizer + R"(, "pre_tokenizer": )" + pre + R"(, "decoder": {"type": "Sequence", "decoders": [)" + decoders +
         R"(]}, "model": {"type": "BPE", "byte_fallback": true, "fuse_unk": true, "unk_token": "<unk>",
             "vocab": {)" +
         vocab + R"(}, "merges": ["a b", "▁ a", "▁ ab", "▁a b"]}})";
}

const char* const kReplace = R"({"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                                {"type": "ByteFallback"}, {"type": "Fuse"})";
const char* const kStrip = R"(, {"type": "Strip", "content": " ", "start": 1, "stop": 0})";

std::shared_ptr<const Tokenizer> load_json(const std::string& text) {
  return tokenizer_from_json(parse_json(text, "tokenizer.json"), nullptr);
}

}  // namespace

TEST_CASE("sentencepiece: neighbours merge by score, a space goes before the text") {
  const auto t = load(model({.extra_spaces = true}));
  CHECK(t->encode("ab", kPlain) == Ids{kSpaceAb});  // a+b first (-1), then the space
  CHECK(t->encode("aab", kPlain) == Ids{kSpaceA, kAb});
  CHECK(t->encode("b", kPlain) == Ids{kSpace, kB});
  CHECK(t->encode("", kPlain).empty());
  CHECK(t->encode("  a", kPlain) == Ids{kSpace, kSpace, kSpaceA});
  CHECK(t->encode("a\xe2\x96\x81"
                  "a",
                  kPlain) == Ids{kSpaceA, kSpaceA});
  CHECK(t->encode("\xc3\xa9", kPlain) == Ids{kSpace, 3 + 0xc3, 3 + 0xa9});
  CHECK(t->encode("a", {}) == Ids{1, kSpaceA});
  CHECK(t->encode("<s>", kPlain) != Ids{1});
  CHECK(t->encode("<s>", kSpecial) == Ids{1});
  CHECK(t->encode("a[tool]b", kPlain) == Ids{kSpaceA, kTool, kB});
  for (const char* text : {"ab  a", " a", "\xc3\xa9\xf0\x9f\x98\x80 b", "a[tool] b"})
    CHECK(t->decode(t->encode(text, kPlain)) == text);
  StreamDecoder stream(t);
  CHECK(stream.feed(3 + 0xc3) == "");
  CHECK(stream.feed(3 + 0xa9) == "\xc3\xa9");
  CHECK(stream.feed(3 + 0xf0) == "");
  CHECK(stream.flush() == "\xf0");
  CHECK(t->eos_id() == 2);
  CHECK(t->stop_ids() == Ids{2});
}

TEST_CASE("sentencepiece: what the normaliser and the trainer say") {
  CHECK(load(model())->encode("  a   b ", kPlain) == Ids{kSpaceA, kSpace, kB});  // single spaces, none at the ends
  CHECK(load(model({.prefix = false, .extra_spaces = true}))->encode("ab b", kPlain) == Ids{kAb, kSpace, kB});
  CHECK(load(model({.byte_fallback = false}))
            ->encode("a\xc3\xa9\xc3\xa9"
                     "b",
                     kPlain) == Ids{kSpaceA, 0, kB});
  CHECK_THROWS_WITH_AS(load(model({.model_type = 5})), doctest::Contains("model_type 5"), Error);
  CHECK_THROWS_WITH_AS(load(model({.charsmap = "x"})), doctest::Contains("character map of 1 bytes"), Error);
}

// Ids and texts as sentencepiece 0.2.3 gives them for the same models.
TEST_CASE("sentencepiece: unigram, characters, words") {
  const auto check = [](const Spec& spec, const char* text, const Ids& ids, const char* decoded) {
    CAPTURE(std::string(text));
    CAPTURE(spec.model_type);
    const auto t = load(model(spec));
    CHECK(t->encode(text, kPlain) == ids);
    CHECK(t->decode(ids) == decoded);
    StreamDecoder stream(t);
    std::string streamed;
    for (const int32_t id : ids) streamed += stream.feed(id);
    CHECK(streamed + stream.flush() == decoded);
  };
  const Spec unigram{.model_type = 1}, without_bytes{.model_type = 1, .byte_fallback = false};
  check(unigram, "abab", {kSpaceAb, kAb}, "abab");
  check(unigram, "a[tool]b", {kSpaceA, kTool, kB}, "a[tool]b");
  check(unigram, "a\xc3\xa9z", {kSpaceA, 3 + 0xc3, 3 + 0xa9, 3 + 'z'}, "a\xc3\xa9z");
  check(unigram, "  a  ab ", {kSpaceA, kSpaceAb}, "a ab");
  check(without_bytes, "ab ab xy zz", {kSpaceAb, kSpaceAb, kSpace, 0, kSpace, 0}, "ab ab  \u2047   \u2047 ");
  const Spec characters{.model_type = 4}, words{.model_type = 3, .byte_fallback = false};
  check(characters, "a[tool]b", {kSpace, kA, kTool, kB}, "a[tool]b");
  check(characters, "ab xy", {kSpace, kA, kB, kSpace, 3 + 'x', 3 + 'y'}, "ab xy");
  check(words, "ab ab xy zz", {kSpaceAb, kSpaceAb, 0}, "ab ab \u2047 ");
  check(words, "a[tool]b", {0}, " \u2047 ");
  CHECK_THROWS_WITH_AS(load(model({.model_type = 3})), doctest::Contains("byte_fallback"), Error);
}

TEST_CASE("sentencepiece: tokenizer_config.json adds tokens and says what goes around a text") {
  const auto t = load(model(), R"({"add_bos_token": false, "add_eos_token": true, "eos_token": {"content": "<|end|>"},
    "added_tokens_decoder": {"300": {"content": "<|end|>", "special": true}, "1": {"content": "<s>", "special": true}}})");
  CHECK(t->size() == 301);
  CHECK(t->encode("a", {}) == Ids{kSpaceA, 300});
  CHECK(t->encode("<|end|>", kSpecial) == Ids{300});
  CHECK(t->special_tokens().at("eos_token") == "<|end|>");
  CHECK_THROWS_WITH_AS(load(model(), R"({"added_tokens_decoder": {"-1": {"content": "x"}}})"),
                       doctest::Contains("'-1'"), Error);
  CHECK_THROWS_AS(load(model(), R"({"added_tokens_decoder": {"9999999": {"content": "x"}}})"), Error);
}

TEST_CASE("sentencepiece: a file cut anywhere is refused or read, never more") {
  const std::string whole = model();
  for (size_t n = 0; n < whole.size(); ++n) {
    try {
      load(whole.substr(0, n));
    } catch (const Error& e) {
      CHECK(std::string(e.what()).starts_with("["));
    }
  }
  CHECK_THROWS_WITH_AS(load(""), doctest::Contains("no pieces"), Error);
  CHECK_THROWS_WITH_AS(load(bytes(1, number(1, 5))), doctest::Contains("wire type 0"), Error);
  CHECK_THROWS_WITH_AS(load(piece("x", 0, 9)), doctest::Contains("type 9"), Error);
  CHECK_THROWS_WITH_AS(load(piece("zz", 0, 6) + bytes(2, number(3, 2))), doctest::Contains("'zz'"), Error);
  CHECK_THROWS_AS(load(std::string(1, '\x0a') + std::string(12, '\xff')), Error);
}

TEST_CASE("tokenizer.json says the same in its three spellings") {
  const auto m = load(model({.extra_spaces = true}));
  const std::string replace = R"({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})";
  const auto legacy =
      load_json(json(R"({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, )" + replace + "]}",
                     "null", std::string(kReplace) + kStrip));
  const auto metaspace =
      load_json(json("null", R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false})",
                     std::string(kReplace) + kStrip));
  const auto plain = load_json(json(
      replace, R"({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false})",
      kReplace));
  for (const char* text : {"ab", "aab b", "  a  ", "\xc3\xa9 ab\n", "a"}) {
    CAPTURE(text);
    CHECK(legacy->encode(text, kPlain) == m->encode(text, kPlain));
    CHECK(legacy->decode(legacy->encode(text, kPlain)) == text);
    CHECK(plain->decode(plain->encode(text, kPlain)) == text);
  }
  CHECK(metaspace->encode("ab", kPlain) == Ids{kSpaceAb});
  CHECK(plain->encode("ab ab", kPlain) == Ids{kAb, kSpaceAb});
  CHECK(legacy->encode("a[tool]a", kPlain) == Ids{kSpaceA, kTool, kSpaceA});
  CHECK(metaspace->encode("a[tool]a", kPlain) == Ids{kSpaceA, kTool, kA});  // not at the text's start
  CHECK(metaspace->encode("[tool]a", kPlain) == Ids{kTool, kA});
  CHECK_THROWS_WITH_AS(load_json(json("null", "null", R"({"type": "CTC"})")), doctest::Contains("'CTC'"), Error);
}
