// Special tokens of a GGUF vocabulary: which end a generation, which are found in text, which are shown.
#include <doctest/doctest.h>

#include <map>

#include "base/error.hpp"
#include "text/fake_checkpoint.hpp"
#include "text/tokenizer.hpp"

using namespace tenon;

namespace {

using Ids = std::vector<int32_t>;
constexpr int32_t kFirst = 95;  // after the printable ASCII characters

struct Token {
  std::string text;
  int type;
};

/// `more`: further keys, tokenizer.ggml. left out.
std::shared_ptr<const Tokenizer> load(const std::vector<Token>& special, const std::map<std::string, Value>& more = {},
                                      Value::Array merges = {}) {
  Value::Array tokens, types;
  for (int c = 0x20; c < 0x7f; ++c) {
    tokens.emplace_back(c == 0x20 ? std::string("\xc4\xa0") : std::string(1, static_cast<char>(c)));
    types.emplace_back(1);
  }
  for (const Token& t : special) {
    tokens.emplace_back(t.text);
    types.emplace_back(t.type);
  }
  Value::Object metadata{{"tokenizer.ggml.model", "gpt2"},
                         {"tokenizer.ggml.pre", "gpt-2"},
                         {"tokenizer.ggml.tokens", std::move(tokens)},
                         {"tokenizer.ggml.token_type", std::move(types)},
                         {"tokenizer.ggml.merges", std::move(merges)}};
  for (const auto& [key, value] : more) metadata.emplace_back("tokenizer.ggml." + key, value);
  return Tokenizer::from_checkpoint(test::FakeCheckpoint(Value(std::move(metadata))));
}

}  // namespace

TEST_CASE("well-known names end a generation") {
  for (const char* name :
       {"<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>",
        "<|endoftext|>", "<|eom_id|>", "<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>", "<turn|>",
        "<\xef\xbd\x9c"
        "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>",
        "[e~["}) {
    CAPTURE(name);
    CHECK(load({{name, 3}})->stop_ids() == Ids{kFirst});
  }
  CHECK(load({{"<|start|>", 3}, {"</tool>", 4}})->stop_ids().empty());
}

TEST_CASE("eos, eot and eom of the file end a generation") {
  const std::vector<Token> three = {{"<a>", 3}, {"<b>", 3}, {"<c>", 3}};
  CHECK(load(three, {{"eos_token_id", kFirst}})->stop_ids() == Ids{kFirst});
  CHECK(load(three, {{"eot_token_id", kFirst + 1}, {"eom_token_id", kFirst + 2}})->stop_ids() ==
        Ids{kFirst + 1, kFirst + 2});
  CHECK(load(three, {{"eos_token_id", kFirst}, {"eot_token_id", kFirst}})->stop_ids() == Ids{kFirst});
  CHECK(load(three, {{"eos_token_id", 9999}, {"eot_token_id", -1}})->stop_ids().empty());
}

TEST_CASE("where messages end with two others, <|end|> separates") {
  CHECK(load({{"<|end|>", 3}, {"<|return|>", 3}, {"<|call|>", 3}})->stop_ids() == Ids{kFirst + 1, kFirst + 2});
  CHECK(load({{"<|end|>", 3}, {"<|return|>", 3}})->stop_ids() == Ids{kFirst, kFirst + 1});
  CHECK(load({{"<|end|>", 3}, {"<|flush|>", 3}, {"<|calls|>", 3}})->stop_ids() == Ids{kFirst + 1, kFirst + 2});
}

TEST_CASE("control tokens are parsed on demand and hidden, user-defined ones always found and shown") {
  const auto t = load({{"<ctl>", 3}, {"<usr>", 4}, {"<off>", 5}});
  CHECK(t->encode("<ctl>", {false, true}) == Ids{kFirst});
  CHECK(t->encode("<ctl>", {false, false}).size() == 5);
  CHECK(t->encode("<usr>", {false, false}) == Ids{kFirst + 1});
  CHECK(t->encode("<off>", {false, true}).size() == 5);
  CHECK(t->decode(Ids{kFirst, 'a' - 0x20, kFirst + 1}, true) == "a<usr>");
  CHECK(t->decode(Ids{kFirst, 'a' - 0x20, kFirst + 1}) == "<ctl>a<usr>");
}

TEST_CASE("bos is added where the file says so, and never twice") {
  const std::vector<Token> tokens = {{"<s>", 3}, {"</s>", 3}};
  const std::map<std::string, Value> ids = {{"bos_token_id", kFirst}, {"eos_token_id", kFirst + 1}};
  const auto with = [&](std::map<std::string, Value> more) {
    more.insert(ids.begin(), ids.end());
    return load(tokens, more);
  };
  const int32_t a = 'a' - 0x20;
  CHECK(with({{"add_bos_token", true}})->encode("a", {}) == Ids{kFirst, a});
  CHECK(with({{"add_bos_token", false}})->encode("a", {}) == Ids{a});
  CHECK(with({})->encode("a", {}) == Ids{a});
  CHECK(with({{"add_bos_token", true}, {"add_eos_token", true}})->encode("a", {}) == Ids{kFirst, a, kFirst + 1});
  CHECK(with({{"add_bos_token", true}})->encode("<s>a", {true, true}) == Ids{kFirst, a});
  CHECK(with({{"add_bos_token", true}})->encode("<s><s>a", {true, true}) == Ids{kFirst, kFirst, a});
  CHECK(with({{"add_bos_token", true}})->encode("<s>a", {true, false}) ==
        Ids{kFirst, '<' - 0x20, 's' - 0x20, '>' - 0x20, a});
  CHECK(with({{"add_bos_token", true}})->encode("", {}) == Ids{kFirst});
}

TEST_CASE("a byte without a token is as if it were not there") {
  const auto t = load({{"he", 1}}, {}, Value::Array{"h e"});
  CHECK(t->encode("he", {}) == Ids{kFirst});
  CHECK(t->encode("\x04", {}).empty());
  const auto marks = load({{"!?", 1}}, {}, Value::Array{"! ?"});
  CHECK(marks->encode("!\x04?", {}) == Ids{kFirst});
}
