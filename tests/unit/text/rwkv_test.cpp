// RWKV's vocabularies, from their text file and from GGUF arrays: Python's literals, and the longest token at each
// place.
#include <doctest/doctest.h>

#include "base/error.hpp"
#include "text/byte_trie.hpp"
#include "text/fake_checkpoint.hpp"
#include "text/python_literal.hpp"
#include "text/tokenizer_build.hpp"

using namespace tenon;

namespace {

using Ids = std::vector<int32_t>;

std::string hex(int byte) {
  static constexpr char kDigits[] = "0123456789abcdef";
  return std::string("\\x") + kDigits[byte >> 4] + kDigits[byte & 15];
}

// Ids 1..256 are the bytes, then "ab", "abc", "bcd", "\n\n", "é" (as str and bytes literals).
std::string file(const std::string& more = "") {
  std::string out;
  for (int b = 0; b < 256; ++b) out += std::to_string(b + 1) + " b'" + hex(b) + "' 1\n";
  return out + "257 'ab' 2\n258 \"abc\" 3\n259 b'bcd' 3\n261 '\\n\\n' 2\n262 '\\xe9' 2\n263 ' a' 2\n" + more;
}

std::shared_ptr<const Tokenizer> load(const std::string& text) {
  return tokenizer_from_rwkv(text, "vocab.txt", nullptr, {});
}

Value metadata(bool all_bytes = true) {
  Value::Array tokens{"<s>"}, types{3};
  for (int b = 0; b < (all_bytes ? 256 : 255); ++b) tokens.emplace_back(hex(b));
  for (const char* t : {"ab", "it's", "\\n\\n", "\\\\x"}) tokens.emplace_back(t);
  while (types.size() < tokens.size()) types.emplace_back(1);
  tokens.emplace_back("[PAD261]");
  types.emplace_back(5);
  return Value(Value::Object{{"tokenizer.ggml.model", "rwkv"},
                             {"tokenizer.ggml.tokens", std::move(tokens)},
                             {"tokenizer.ggml.token_type", std::move(types)}});
}

}  // namespace

TEST_CASE("Python's literals") {
  const auto read = [](std::string_view s) { return python_literal(s, "test"); };
  CHECK(read("'a b'") == "a b");
  CHECK(read("\"it's\"") == "it's");
  CHECK(read(R"('\'\"\\\a\b\f\n\r\t\v')") == "'\"\\\a\b\f\n\r\t\v");
  CHECK(read(R"('\xe9\u4e2d\U0001f600')") == "\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80");
  CHECK(read(R"(b'\xe9\377\7\08')") == std::string("\xe9\xff\7\0"
                                                   "8",
                                                   5));
  CHECK(read(R"('\x00')") == std::string(1, '\0'));
  CHECK(read("'\xc3\xa9'") == "\xc3\xa9");
  for (const char* bad :
       {"", "a", "'", "'a", "a'", "'a\"", "'a'b'", R"('\x4')", R"('\q')", R"('\ud800')", R"('\U00110000')",
        R"(b'\u4e2d')", R"(b'\400')", "b'\xc3\xa9'", "'\xff'", "u'a'", R"('\N{DASH}')", R"('\)"})
    CHECK_THROWS_AS(read(bad), Error);
  CHECK(python_bytes(R"(it's \x41\n)", "test") == "it's A\n");
}

TEST_CASE("the longest token at a place") {
  const ByteTrie trie({{"a", 1}, {"abc", 2}, {"abd", 3}, {"\xff", 4}});
  CHECK(trie.longest("abd", 0).id == 3);
  CHECK(trie.longest("abx", 0).id == 1);
  CHECK(trie.longest("xabcd", 1).length == 3);
  CHECK(trie.longest("\xff\xff", 1).id == 4);
  CHECK(trie.longest("x", 0).length == 0);
  CHECK(ByteTrie({}).longest("x", 0).length == 0);
  CHECK_THROWS_AS(ByteTrie({{"a", 1}, {"a", 2}}), Error);
  CHECK_THROWS_AS(ByteTrie({{"", 1}}), Error);
}

TEST_CASE("rwkv_vocab files") {
  const auto t = load(file());
  CHECK(t->encode("abcd", {}) == Ids{258, 'd' + 1});
  CHECK(t->encode("abbcd", {}) == Ids{257, 259});
  CHECK(t->encode("\xc3\xa9 a\xff", {}) == Ids{262, 263, 256});
  CHECK(t->encode("a\n\n\n", {}) == Ids{'a' + 1, 261, '\n' + 1});
  CHECK(t->encode("<s>", {true, true}) == Ids{0});
  CHECK(t->encode("<s>", {}).size() == 3);
  CHECK(t->decode(Ids{258, 256, 0}, true) == "abc\xff");
  CHECK(t->stop_ids() == Ids{0, 261});
  CHECK(t->bos_id() == 0);
  CHECK_FALSE(t->add_bos());
  CHECK(is_rwkv_file(file()));
  for (const char* other : {"", "YQ== 0\n", "12 34\n", "{\"a\": 1}", "'a' 1"}) CHECK_FALSE(is_rwkv_file(other));
}

TEST_CASE("broken rwkv_vocab files") {
  for (const char* bad :
       {"264 'a' 1\n", "264 'xy' 3\n", "264 'xy'\n", "264\n", "0 'xy' 2\n", "-1 'xy' 2\n", "257 'xy' 2\n", "264 xy 2\n",
        "4194304 'xy' 2\n", "264 '' 0\n", "264 'xy' 99999999999999999999\n"})
    CHECK_THROWS_AS(load(file(bad)), Error);
  CHECK_THROWS_AS(load(""), Error);
  CHECK_THROWS_WITH_AS(load(file().substr(file().find('\n') + 1)), "[vocab.txt] the byte 0x00 is no token", Error);
  CHECK_THROWS_WITH_AS(load(file("264 'xyz' 2\n")), "[vocab.txt line 263] 3 bytes, not 2", Error);
}

TEST_CASE("rwkv from GGUF arrays") {
  const auto t = Tokenizer::from_checkpoint(test::FakeCheckpoint(metadata()));
  CHECK(t->encode("abit's\\x", {}) == Ids{257, 258, 260});
  CHECK(t->encode("<s>", {false, true}) == Ids{0});
  CHECK(t->encode("<s>", {false, false}).size() == 3);
  CHECK(t->encode("[PAD261]", {}).size() == 8);
  CHECK(t->stop_ids() == Ids{0, 259});
  CHECK_THROWS_AS(Tokenizer::from_checkpoint(test::FakeCheckpoint(metadata(false))), Error);
}
