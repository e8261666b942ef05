// GGUF's gemma4: merges on plain UTF-8 over whole lines.
#include <doctest/doctest.h>

#include "base/error.hpp"
#include "text/fake_checkpoint.hpp"
#include "text/tokenizer.hpp"

using namespace tenon;

namespace {

using Ids = std::vector<int32_t>;

constexpr const char* kMark = "\xe2\x96\x81";
constexpr int32_t kSpace = 259, kA = 260, kB = 261, kSpaceA = 262, kSpaceAb = 263, kLine = 264, kLines = 265;

Value metadata(const char* model, const char* pre, bool add_bos = true) {
  const std::string mark = kMark;
  Value::Array tokens{"<pad>", "<bos>", "<eos>"}, types{3, 3, 3};
  for (int b = 0; b < 256; ++b) {
    tokens.emplace_back(fmt::format("<0x{:02X}>", b));
    types.emplace_back(6);
  }
  for (const std::string& t : {mark, std::string("a"), std::string("b"), mark + "a", mark + "ab", std::string("\n"),
                               std::string("\n\n"), std::string("<turn|>")}) {
    tokens.emplace_back(t);
    types.emplace_back(1);
  }
  return Value(Value::Object{{"tokenizer.ggml.model", model},
                             {"tokenizer.ggml.pre", pre},
                             {"tokenizer.ggml.tokens", std::move(tokens)},
                             {"tokenizer.ggml.token_type", std::move(types)},
                             {"tokenizer.ggml.merges", Value::Array{mark + " a", mark + "a b"}},
                             {"tokenizer.ggml.bos_token_id", 1},
                             {"tokenizer.ggml.eos_token_id", 2},
                             {"tokenizer.ggml.add_bos_token", add_bos}});
}

std::shared_ptr<const Tokenizer> load(const char* model, const char* pre, bool add_bos = true) {
  return Tokenizer::from_checkpoint(test::FakeCheckpoint(metadata(model, pre, add_bos)));
}

}  // namespace

TEST_CASE("merges run over a line with its spaces") {
  const auto t = load("gemma4", "");
  CHECK(t->encode(" ab a", {false, false}) == Ids{kSpaceAb, kSpaceA});
  CHECK(t->encode("a b", {false, false}) == Ids{kA, kSpace, kB});
  CHECK(t->encode("a\n\nb\n", {false, false}) == Ids{kA, kLines, kB, kLine});
  CHECK(t->encode("\n\n\n", {false, false}) == Ids{kLine, kLine, kLine});
  CHECK(t->encode("\xc3\xa9", {false, false}) == Ids{3 + 0xc3, 3 + 0xa9});
  CHECK(t->encode("\xff", {false, false}) == Ids{3 + 0xff});
  CHECK(t->encode(kMark + std::string("a"), {false, false}) == Ids{kSpaceA});
  CHECK(t->decode(Ids{kSpaceAb, 3 + 0xc3, 3 + 0xa9}) == " ab\xc3\xa9");
  CHECK(t->stop_ids() == Ids{2, 266});
}

TEST_CASE("who has bos before it") {
  CHECK(load("gemma4", "")->encode("a", {}) == Ids{1, kA});
  CHECK(load("gemma4", "", false)->add_bos());
  CHECK_FALSE(load("gpt2", "sarvam-moe", false)->add_bos());
  CHECK(load("gpt2", "gemma4")->encode(" ab", {}) == Ids{1, kSpaceAb});
  CHECK_THROWS_AS(load("plamo2", ""), Error);
  CHECK_THROWS_WITH_AS(load("none", ""), "[tokenizer] the file has no vocabulary ('none')", Error);
}
