// Model kinds and components of tokenizer.json. Expected ids and texts are what Hugging Face's tokenizers 0.23.3 gives.
#include <doctest/doctest.h>

#include "base/error.hpp"
#include "text/normalizer.hpp"
#include "text/tokenizer_build.hpp"
#include "text/unicode.hpp"

using namespace tenon;

namespace {

using Ids = std::vector<int32_t>;

const EncodeOptions kPlain{false, true};

std::shared_ptr<const Tokenizer> load(const std::string& text) {
  return tokenizer_from_json(parse_json(text, "tokenizer.json"), nullptr);
}

// Checks ids and decoded text, in one piece and as a stream.
void check(const std::shared_ptr<const Tokenizer>& t, const char* text, const Ids& ids, const char* decoded) {
  CAPTURE(std::string(text));
  CHECK(t->encode(text, kPlain) == ids);
  CHECK(t->decode(ids) == decoded);
  StreamDecoder stream(t);
  std::string streamed;
  for (const int32_t id : ids) streamed += stream.feed(id);
  CHECK(streamed + stream.flush() == decoded);
}

std::string normalized(const char* json, const char* text) {
  return Normalizer::from_json(parse_json(json, "normalizer"))(text);
}

const char* const kWordPiece = R"({"normalizer": {"type": "BertNormalizer", "clean_text": true,
    "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
  "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
  "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]},
  "truncation": {"max_length": 1}, "padding": {"pad_id": 0},
  "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
    "max_input_chars_per_word": 8, "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "un": 3, "##aff": 4, "##able": 5,
    "hello": 6, ",": 7, "中": 8, "##s": 9, "u": 10, "cafe": 11, "##": 12}}})";

std::string unigram(const std::string& members, const std::string& tokens, bool bytes) {
  return "{" + members + R"("model": {"type": "Unigram", "unk_id": 0, "byte_fallback": )" + (bytes ? "true" : "false") +
         R"(, "vocab": [["<unk>", 0.0], ["▁", -2.0], ["a", -3.0], ["b", -3.5], ["ab", -4.0], ["▁a", -3.2],
            ["▁ab", -9.0], ["abab", -8.5], ["é", -5.0])" +
         tokens + "]}}";
}

const char* const kMetaspace =
    R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true})";

}  // namespace

TEST_CASE("tokenizer.json: WordPiece") {
  const auto t = load(kWordPiece);
  check(t, "Hello, hellos", {6, 7, 6, 9}, "hello, hellos");
  check(t, "中hello", {8, 6}, "中 hello");
  check(t, "Caf\xc3\xa9", {11}, "cafe");
  check(t, "UNAFFable", {0}, "[UNK]");  // nine characters, more than the eight
  check(t, "uns un##s", {3, 9, 3, 0, 0, 0}, "uns un [UNK] [UNK] [UNK]");
  CHECK(t->encode(std::string("\0he\xe2\x80\x8bllo\tun", 12), kPlain) == Ids{6, 3});
  CHECK(t->encode("hello", {}) == Ids{1, 6, 2});
  CHECK(t->piece(9) == "s");
  CHECK(t->piece(6) == " hello");
}

TEST_CASE("tokenizer.json: Unigram") {
  const auto t = load(unigram(std::string(R"("normalizer": {"type": "NFKC"}, "pre_tokenizer": )") + kMetaspace +
                                  R"(, "decoder": )" + kMetaspace + ", ",
                              "", false));
  check(t, "ab", {1, 4}, "ab");
  check(t, "abab", {1, 4, 4}, "abab");
  check(t, "a bxyb", {5, 1, 3, 0, 3}, "a b<unk>b");
  check(t,
        "\xef\xbd\x81"
        "b",
        {1, 4}, "ab");
  check(t, "  a", {1, 5}, " a");
  const auto bytes =
      load(unigram(R"("decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}, )",
                   R"(, ["<0xC3>", -20], ["<0xA8>", -20], ["<0x7A>", -20])", true));
  check(bytes, "a\xc3\xa8z", {2, 9, 10, 11}, "a\xc3\xa8z");
  check(bytes, "\xc3\xb1", {0}, "<unk>");
  check(bytes, "ab<0x7A>", {4, 11}, "abz");
}

TEST_CASE("tokenizer.json: BPE with affixes and without unknown tokens") {
  const auto suffix = load(R"({"pre_tokenizer": {"type": "Whitespace"}, "decoder": {"type": "BPEDecoder",
      "suffix": "</w>"}, "model": {"type": "BPE", "unk_token": "<unk>", "end_of_word_suffix": "</w>", "fuse_unk": true,
      "dropout": null, "vocab": {"<unk>": 0, "l": 1, "o": 2, "w": 3, "w</w>": 4, "lo": 5, "low</w>": 6, "low": 7,
      "o</w>": 8}, "merges": ["l o", "lo w</w>", "lo w"]}})");
  check(suffix, "low lo", {6, 1, 8}, "low lo");
  check(suffix, "lowlow", {7, 6}, "lowlow");
  check(suffix, "lxyo x", {1, 0, 8, 0}, "l<unk>o <unk>");
  const auto prefix = load(R"({"pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": null, "model": {"type": "BPE",
      "unk_token": null, "continuing_subword_prefix": "##", "vocab": {"a": 0, "##b": 1, "ab": 2, "##c": 3, "abc": 4},
      "merges": [["a", "##b"], ["ab", "##c"]]}})");
  check(prefix, "abc ab", {4, 2}, "abc ab");
  check(prefix, "axb", {2}, "ab");  // what is dropped keeps nothing apart
  check(prefix, "b", {}, "");
  const auto bytes = load(R"({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": true, "use_regex": true},
      "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": {"a": 0, "Ġ": 1, "Ġa": 2, "Ã": 3, "©": 4,
      "Ã©": 5}, "merges": ["Ġ a", "Ã ©"]}})");
  check(bytes, "a a", {2, 2}, " a a");
  check(bytes, "\xc3\xa9", {1, 5}, " \xc3\xa9");
  check(bytes, "xa", {2}, " a");
}

TEST_CASE("tokenizer.json: WordLevel and what is around it") {
  const auto t = load(R"({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "CharDelimiterSplit",
      "delimiter": "_"}, {"type": "Punctuation", "behavior": "Isolated"}]},
      "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "a": 1, "b": 2, "-": 3}}})");
  check(t, "a_b-a__b", {1, 2, 3, 1, 2}, "a b - a b");
  check(t, "c", {0}, "?");
  const auto fixed = load(R"({"pre_tokenizer": {"type": "FixedLength", "length": 2},
      "post_processor": {"type": "Sequence", "processors": [{"type": "RobertaProcessing", "sep": ["b", 2],
        "cls": ["a", 1]}, {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "ab", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}}], "special_tokens": {"ab": {"id": "ab", "ids": [1], "tokens": ["ab"]}}}]},
      "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "ab": 1, "é": 2}}})");
  check(fixed, "abab\xc3\xa9", {1, 1, 2}, "ab ab \xc3\xa9");
  CHECK(fixed->encode("ab", {}) == Ids{1, 1, 1, 2});  // the template goes around the other
}

TEST_CASE("tokenizer.json: normalizers") {
  CHECK(normalized(R"({"type": "Nmt"})",
                   "a\x07"
                   "b\xe2\x80\x8b"
                   "c\xe2\x96\x81\xef\xbf\xbd") == "ab c  ");
  CHECK(normalized(R"({"type": "StripAccents"})", "e\xcc\x81\xe0\xa4\xbe") == "e");
  CHECK(normalized(R"({"type": "Lowercase"})", "İΣΑΣ") == "i\xcc\x87σασ");
  CHECK(normalized(R"j({"type": "Replace", "pattern": {"Regex": "(?=b)"}, "content": "-"})j", "abab") == "a-ba-b");
  CHECK(normalized(R"({"type": "ByteLevel"})", "\xc3\xa9 ") == "Ã©Ġ");
  CHECK(normalized(R"({"type": "Strip", "strip_left": true, "strip_right": false})",
                   " \xe3\x80\x80"
                   "a ") == "a ");
  const char* const sequence = R"({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "x"},
                                                                       {"type": "NFD"}]})";
  CHECK(normalized(sequence, "\xc3\xa9") == "xe\xcc\x81");
  CHECK(normalized(sequence, "") == "");
  CHECK(normalized(R"({"type": "NFC"})", "\xff\xc3") == "\xff\xc3");
}

TEST_CASE("a megabyte of marks is put in order in bounded time") {
  std::string text = "a";
  while (text.size() < 1'000'000) text += "\xcc\x96\xcc\x81";  // in the wrong order
  const std::string ordered = unicode::normalize(text, unicode::Form::nfc);
  CHECK(ordered.starts_with("\xc3\xa1\xcc\x96\xcc\x96"));
  CHECK(ordered.size() == text.size() - 1);
}

TEST_CASE("tokenizer.json: what is not known or broken is named") {
  const auto with = [](const char* key, const char* value) {
    return load(std::string("{\"") + key + "\": " + value +
                R"(, "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0}}})");
  };
  const auto model = [](const std::string& json) { return load("{\"model\": " + json + "}"); };
  CHECK_THROWS_WITH_AS(with("normalizer", R"({"type": "Shout"})"), doctest::Contains("'Shout'"), Error);
  CHECK_THROWS_WITH_AS(with("pre_tokenizer", R"({"type": "UnicodeScripts"})"), doctest::Contains("'UnicodeScripts'"),
                       Error);
  CHECK_THROWS_WITH_AS(with("decoder", R"({"type": "CTC"})"), doctest::Contains("'CTC'"), Error);
  CHECK_THROWS_WITH_AS(with("post_processor", R"({"type": "Wrap"})"), doctest::Contains("'Wrap'"), Error);
  CHECK_THROWS_WITH_AS(model(R"({"type": "Bigram", "vocab": {}})"), doctest::Contains("'Bigram'"), Error);
  CHECK_THROWS_WITH_AS(model(R"({"type": "BPE", "dropout": 0.1, "vocab": {}, "merges": []})"),
                       doctest::Contains("dropout"), Error);
  CHECK_THROWS_AS(model(R"({"type": "Unigram", "unk_id": 3, "vocab": [["a", 0]]})"), Error);
  CHECK_THROWS_AS(model(R"({"type": "Unigram", "unk_id": 0, "vocab": [["a"]]})"), Error);
  CHECK_THROWS_AS(model(R"({"type": "Unigram", "vocab": {"a": 0}})"), Error);
  CHECK_THROWS_AS(model(R"({"type": "WordPiece", "vocab": {"a": 0}})"), Error);
  CHECK_THROWS_AS(model(R"({"type": "WordLevel", "vocab": {"a": -1}})"), Error);
  CHECK_THROWS_AS(model(R"({"type": "Unigram", "unk_id": 0, "vocab": [[")" + std::string(2000, 'x') + R"(", 0]]})"),
                  Error);
  for (const char* map : {"", "AAA=", "!!!!", "CAAAAAAAAAAA", "////fwAA"})
    CHECK_THROWS_AS(
        with("normalizer", (std::string(R"({"type": "Precompiled", "precompiled_charsmap": ")") + map + "\"}").c_str()),
        Error);
  std::string many = R"({"type": "NFC"})";
  for (int i = 0; i < 64; ++i) many += R"(, {"type": "NFC"})";
  CHECK_THROWS_WITH_AS(with("normalizer", (R"({"type": "Sequence", "normalizers": [)" + many + "]}").c_str()),
                       doctest::Contains("more than 64 steps"), Error);
  std::string doubled = R"({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"})";
  for (int i = 0; i < 5; ++i) doubled += ", " + doubled;
  CHECK_THROWS_WITH_AS(load(R"({"decoder": {"type": "Sequence", "decoders": [)" + doubled +
                            R"(]}, "model": {"type": "WordLevel", "unk_token": "a", "vocab": {"a": 0}}})"),
                       doctest::Contains("a token becomes more than"), Error);
  const auto none = model(R"({"type": "Unigram", "unk_id": null, "vocab": [["a", 0.0]]})");
  CHECK_THROWS_AS(none->encode("ab", kPlain), Error);
}
