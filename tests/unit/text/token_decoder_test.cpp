// Decoder steps: expected texts are what Hugging Face's tokenizers gives for the same tokens.
#include "text/token_decoder.hpp"

#include <doctest/doctest.h>

#include "base/error.hpp"

using namespace tenon;

namespace {

using Strings = std::vector<std::string>;

std::string decoded(const std::string& json, const Strings& tokens) {
  const TokenDecoder decoder = TokenDecoder::from_json(parse_json(json, "decoder"));
  TokenDecoder::Run run(decoder);
  std::string out;
  for (const std::string& token : tokens) out += run.feed(token);
  return out + run.finish();
}

std::string sequence(const std::string& steps) { return R"({"type": "Sequence", "decoders": [)" + steps + "]}"; }

}  // namespace

TEST_CASE("decoder steps") {
  CHECK(decoded("null", {"a", "b"}) == "a b");
  CHECK(decoded(R"({"type": "ByteLevel"})", {"Ġa", "Ã", "©", "日"}) == " aé日");
  CHECK(decoded(R"({"type": "WordPiece", "prefix": "##", "cleanup": true})", {"##do", "##n", "'", "t", "."}) ==
        "##don ' t.");
  CHECK(decoded(R"({"type": "WordPiece", "prefix": "##", "cleanup": false})", {"a", ".", "##b"}) == "a .b");
  CHECK(decoded(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true})",
                {"▁▁a", "▁b"}) == "a b");
  CHECK(decoded(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"})", {"▁a", "▁b"}) == " a b");
  CHECK(decoded(R"({"type": "BPEDecoder", "suffix": "</w>"})", {"lo", "w</w>", "er</w>"}) == "low er");
  CHECK(decoded(R"({"type": "BPEDecoder", "suffix": "</w>"})", {}).empty());
  CHECK(decoded(R"({"type": "Strip", "content": "-", "start": 2, "stop": 1})", {"---a--", "-b-"}) == "-a-b");
  CHECK(decoded(R"({"type": "Replace", "pattern": {"Regex": "[0-9]+"}, "content": "#"})", {"a12", "3"}) == "a##");
}

TEST_CASE("decoder steps after fused tokens see one token") {
  const std::string fuse = R"({"type": "Fuse"}, )";
  CHECK(decoded(sequence(fuse + R"({"type": "Strip", "content": " ", "start": 1, "stop": 1})"), {" ", " a ", " "}) ==
        " a ");
  CHECK(decoded(sequence(fuse + R"({"type": "Replace", "pattern": {"String": "aab"}, "content": "-"})"),
                {"a", "a", "ab", "a", "a"}) == "a-aa");
  CHECK(decoded(sequence(fuse + R"({"type": "Replace", "pattern": {"Regex": "a+"}, "content": "-"})"),
                {"a", "a", "ab"}) == "-b");
  CHECK(decoded(sequence(R"({"type": "ByteFallback"}, )" + fuse +
                         R"({"type": "Strip", "content": "é", "start": 1, "stop": 0})"),
                {"<0xC3>", "<0xA9>", "b", "<0xC3>"}) == "b\xc3");
}

TEST_CASE("decoders that are not known or broken") {
  CHECK_THROWS_WITH_AS(decoded(R"({"type": "CTC"})", {}), "[decoder] type 'CTC'", Error);
  CHECK_THROWS_AS(decoded(R"({"type": "Strip", "content": "ab", "start": 1, "stop": 0})", {}), Error);
  CHECK_THROWS_AS(decoded(R"({"type": "Strip", "content": "a", "start": -1, "stop": 0})", {}), Error);
  std::string deep = R"({"type": "Fuse"})";
  for (int i = 0; i < 20; ++i) deep = sequence(deep);
  CHECK_THROWS_WITH_AS(decoded(deep, {}), "[decoder] nested deeper than 16", Error);
}
