// How the pre-tokenizers of table pre_names.def cut text, one case for what sets each family apart.
#include <doctest/doctest.h>

#include "base/error.hpp"
#include "text/digit_groups.hpp"
#include "text/pretokenizer.hpp"

using namespace tenon;

namespace {

using Strings = std::vector<std::string>;

Strings cut(std::string_view name, std::string_view text) {
  PreTokenizer::Words words;
  PreTokenizer::from_pre_name(name)(text, words);
  return {words.pieces.begin(), words.pieces.end()};
}

Strings digits(std::string_view text, DigitGroups how) {
  std::vector<std::string_view> out;
  split_digits(text, how, out);
  return {out.begin(), out.end()};
}

}  // namespace

TEST_CASE("digits in threes counted from the right") {
  CHECK(digits("", DigitGroups::isolated).empty());
  CHECK(digits("12", DigitGroups::isolated) == Strings{"12"});
  CHECK(digits("a1234567b123", DigitGroups::isolated) == Strings{"a", "1", "234", "567", "b", "123"});
  CHECK(digits("12\xc2\xb2", DigitGroups::isolated) == Strings{"12\xc2\xb2"});  // a superscript is a number
  CHECK(digits("1234b 1234", DigitGroups::bounded) == Strings{"1234b ", "1", "234"});
  CHECK(digits("1234_ 12", DigitGroups::bounded) == Strings{"1234_ ", "12"});
  CHECK(digits("1234\xff", DigitGroups::bounded) == Strings{"1", "234", "\xff"});
  CHECK(digits("x1234\xc2\xb2", DigitGroups::before) == Strings{"x1", "234\xc2\xb2"});
  CHECK(digits("123456", DigitGroups::before) == Strings{"123", "456"});
}

TEST_CASE("a script in a pattern means its own characters alone") {
  std::vector<Pattern::Span> spans;
  Pattern(R"(\p{Han}+|[\p{Thai}x])").find_all("\xe4\xb8\xad\xe3\x8a\x91 \xe0\xb8\x81", spans);  // U+3291 is shared
  CHECK(spans == std::vector<Pattern::Span>{{0, 3}, {7, 10}});
  CHECK_THROWS_AS(Pattern(R"(\p{Nonsense})"), Error);
}

TEST_CASE("long runs hit no limit and lose nothing") {
  static constexpr const char* kNames[] = {
#define PRE(NAME, ...) NAME,
#include "text/pre_names.def"
#undef PRE
  };
  for (const std::string_view unit : {"a", " ", "1", "\n", "\xc3\xa9", "a b"}) {
    std::string text;
    while (text.size() < 30'000) text += unit;
    for (const std::string& run : {text, text + "x"})
      for (const char* name : kNames) {
        CAPTURE(name);
        CAPTURE(unit);
        std::string all;
        for (const std::string& piece : cut(name, run)) all += piece;
        CHECK(all == run);
      }
  }
}

TEST_CASE("each family cuts in its own way") {
  CHECK(cut("gpt-2", "I'LL go 1234  x") == Strings{"I", "'", "LL", " go", " 1234", " ", " x"});
  CHECK(cut("starcoder", "ab 12") == Strings{"ab", " ", "1", "2"});
  CHECK(cut("llama-bpe", "I'LL 1234\n\n x") == Strings{"I", "'LL", " ", "123", "4", "\n\n", " x"});
  CHECK(cut("qwen2", "a 12") == Strings{"a", " ", "1", "2"});
  CHECK(cut("ufakzeka", "Ali'nin I'LL") == Strings{"Ali", "'nin", " I", "'LL"});
  CHECK(cut("laguna", "a\n \nb") == Strings{"a", "\n", " ", "\n", "b"});
  CHECK(cut("seed-coder", "a!\nb") == Strings{"a", "!", "\n", "b"});
  CHECK(cut("bailingmoe", "a!\nb\n\n c") == Strings{"a", "!\n", "b", "\n\n", " c"});
  CHECK(cut("exaone-moe", "to be!\n\n2") == Strings{"to be", "!\n", "\n", "2"});
  CHECK(cut("minicpm5", "x1234") == Strings{"x", "123", "4"});
  CHECK(cut("jais-2", "a   \tb") == Strings{"a", "  ", " ", "\tb"});
  CHECK(cut("gpt-4o", "getHTTPCode's a/b") == Strings{"get", "HTTPCode's", " a", "/b"});
  CHECK(cut("tekken", "don't 12") == Strings{"don", "'t", " ", "1", "2"});
  CHECK(cut("kimi-k2", "ab\xe4\xb8\xad\xe6\x96\x87") == Strings{"ab", "\xe4\xb8\xad\xe6\x96\x87"});
  CHECK(cut("tiny_aya", "1234567 89x") == Strings{"1", "234", "567", " ", "89", "x"});
  CHECK(cut("afmoe", "1234 \xe3\x81\x82 a") == Strings{"1", "234", " ", "\xe3\x81\x82", " a"});
  CHECK(cut("superbpe", "in the 1234567") == Strings{"in the ", "1", "234", "567"});
  CHECK(cut("youtu", "\xea\xb0\x80 getXY1") == Strings{"\xea\xb0\x80", " get", "XY", "1"});
  CHECK(cut("bloom", "a, b. c") == Strings{"a", ",", " b", ".", " c"});
  CHECK(cut("viking", "a1, b") == Strings{"a", "1", ",", " b"});
  CHECK(cut("spark2_5", "a!\n\n1234") == Strings{"a", "!", "\n", "\n", "1", "2", "3", "4"});
  CHECK(cut("deepseek-v3", "a.b\n1234") == Strings{"a", ".b", "\n", "123", "4"});
  CHECK(cut("chameleon", "a  IMGIMGABZ7") == Strings{"a", "  ", "IMGIMGABZ", "7"});
  CHECK(cut("cl100k", "a \n  ") == Strings{"a", " \n  "});
  CHECK(cut("llama-bpe", "a \n  ") == Strings{"a", " \n", "  "});
  CHECK_THROWS_WITH_AS(cut("no-such", "a"), "[tokenizer] tokenizer.ggml.pre 'no-such' is not known", Error);
}
