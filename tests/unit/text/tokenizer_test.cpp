// Tokenizers: a hand-made byte-level vocabulary in both spellings, hostile ones, and the shared reference ids.
#include "text/tokenizer.hpp"

#include <doctest/doctest.h>

#include <map>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "fixtures.hpp"
#include "text/fake_checkpoint.hpp"
#include "text/pretokenizer.hpp"

using namespace tenon;

namespace {

using Ids = std::vector<int32_t>;

// GPT-2's spelling of a byte, computed the way the format describes it.
std::string spell(int byte) {
  int code = byte;
  const auto printable = [](int b) { return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae; };
  if (!printable(byte)) {
    code = 0x100;
    for (int b = 0; b < byte; ++b) code += printable(b) ? 0 : 1;
  }
  std::string out;
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  out += static_cast<char>(0xc0 | (code >> 6));
  out += static_cast<char>(0x80 | (code & 0x3f));
  return out;
}

// Ids 0..255 are the bytes, then "he", "ll", "hell", "hello", " w"; then two control tokens and a user-defined one.
Value gguf_metadata(Value::Array merges, const char* pre = "gpt-2") {
  Value::Array tokens, types;
  for (int b = 0; b < 256; ++b) tokens.emplace_back(spell(b));
  for (const char* t : {"he", "ll", "hell", "hello", "\xc4\xa0w"}) tokens.emplace_back(t);
  for (size_t i = 0; i < tokens.size(); ++i) types.emplace_back(1);
  for (const char* t : {"<|bos|>", "<|im_end|>", "[tool]"}) tokens.emplace_back(t);
  types.emplace_back(3);
  types.emplace_back(3);
  types.emplace_back(4);
  return Value(Value::Object{{"tokenizer.ggml.model", "gpt2"},
                             {"tokenizer.ggml.pre", pre},
                             {"tokenizer.ggml.tokens", std::move(tokens)},
                             {"tokenizer.ggml.token_type", std::move(types)},
                             {"tokenizer.ggml.merges", std::move(merges)},
                             {"tokenizer.ggml.bos_token_id", 261},
                             {"tokenizer.ggml.eos_token_id", 262},
                             {"tokenizer.ggml.add_bos_token", true}});
}

Value::Array usual_merges() { return {"h e", "l l", "he ll", "hell o", "\xc4\xa0 w"}; }

std::shared_ptr<const Tokenizer> usual() {
  return Tokenizer::from_checkpoint(test::FakeCheckpoint(gguf_metadata(usual_merges())));
}

Ids ids_of(const Value& array) {
  Ids out;
  for (const Value& v : array.as_array()) out.push_back(static_cast<int32_t>(v.as_int()));
  return out;
}

std::map<std::string, std::string> corpus(const std::filesystem::path& path) {
  std::map<std::string, std::string> out;
  const std::string text = read_file(path);
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at);
    if (end == std::string::npos) end = text.size();
    const Value line = parse_json(std::string_view(text).substr(at, end - at), "corpus");
    out[line.find("id")->as_string()] = line.find("text")->as_string();
    at = end + 1;
  }
  return out;
}

std::string streamed(const std::shared_ptr<const Tokenizer>& t, const Ids& ids) {
  StreamDecoder decoder(t);
  std::string out;
  for (int32_t id : ids) out += decoder.feed(id);
  return out + decoder.flush();
}

}  // namespace

TEST_CASE("byte-level BPE from GGUF arrays") {
  const auto t = usual();
  CHECK(t->encode("hello world", {false, false}) == Ids{259, 260, 'o', 'r', 'l', 'd'});
  CHECK(t->encode("hello", {true, false}) == Ids{261, 259});
  CHECK(t->encode("", {false, false}).empty());
  CHECK(t->encode("", {}) == Ids{261});
  CHECK(t->add_bos());
  CHECK(t->bos_id() == 261);
  CHECK(t->stop_ids() == Ids{262});
  CHECK(t->special_tokens().at("eos_token") == "<|im_end|>");
}

TEST_CASE("control tokens are parsed on demand only, user-defined ones always") {
  const auto t = usual();
  CHECK(t->encode("a<|im_end|>", {false, true}) == Ids{'a', 262});
  CHECK(t->encode("<|im_end|>", {false, false}).size() == 10);
  CHECK(t->encode("[tool]he", {false, false}) == Ids{263, 256});
  CHECK(t->decode(Ids{261, 259, 262}, true) == "hello");
  CHECK(t->decode(Ids{261, 259}) == "<|bos|>hello");
  CHECK(t->token_to_id("[tool]") == 263);
  CHECK(t->token_to_id("hello") == 259);
  CHECK_FALSE(t->token_to_id("nothing like it"));
}

TEST_CASE("any bytes survive encoding and streaming") {
  const auto t = usual();
  const std::string nul("a\0b\0\0", 5);
  for (const std::string& text : {nul, std::string("\xff\xfe\xc3"), std::string("\xed\xa0\x80 lone surrogate"),
                                  std::string("\xf0\x9f\x98\x80\xf0\x9f"),
                                  std::string("Gr\xc3\xb6\xc3\x9f"
                                              "e\r\n\t ")}) {
    const Ids ids = t->encode(text, {false, false});
    CHECK(t->decode(ids) == text);
    CHECK(streamed(t, ids) == text);
  }
  StreamDecoder decoder(t);
  CHECK(decoder.feed(0xf0).empty());
  CHECK(decoder.feed(0x9f).empty());
  CHECK(decoder.feed(0x98).empty());
  CHECK(decoder.feed(0x80) == "\xf0\x9f\x98\x80");
}

TEST_CASE("a megabyte of one character takes bounded time") {
  const auto t = usual();
  for (const char* unit : {"h", " ", "7", "\n", "he", "\xff"}) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    CHECK(t->decode(t->encode(text, {false, false})) == text);
  }
}

TEST_CASE("hostile vocabularies") {
  using test::FakeCheckpoint;
  CHECK_THROWS_WITH_AS(Tokenizer::from_checkpoint(FakeCheckpoint(gguf_metadata({}, "no-such-pre"))),
                       "[tokenizer] tokenizer.ggml.pre 'no-such-pre' is not known", Error);
  CHECK_THROWS_AS(Tokenizer::from_checkpoint(FakeCheckpoint(Value(Value::Object{}))), Error);
  CHECK_THROWS_AS(
      Tokenizer::from_checkpoint(FakeCheckpoint(Value(Value::Object{{"tokenizer.ggml.model", "who-knows"}}))), Error);
  CHECK_THROWS_AS(Tokenizer::from_checkpoint(FakeCheckpoint(gguf_metadata({"nospace"}))), Error);
  CHECK_THROWS_AS(Tokenizer::from_checkpoint(FakeCheckpoint(gguf_metadata({Value(7)}))), Error);
  // A merge that names an unknown token, a doubled merge, an empty merge half.
  const auto t =
      Tokenizer::from_checkpoint(FakeCheckpoint(gguf_metadata({"zz qq", "h e", "h e", "l l", "h ", "\xe4\xb8\xad l"})));
  CHECK(t->encode("hell", {false, false}) == Ids{256, 257});
  CHECK_THROWS_AS(t->decode(Ids{-1}), Error);
  CHECK_THROWS_AS(t->decode(Ids{1 << 30}), Error);
  CHECK(t->piece(-5).empty());
  CHECK_FALSE(t->is_control(99999));
}

TEST_CASE("byte tokens of score-based vocabularies must be bytes") {
  const auto metadata = [](const char* byte) {
    return Value(Value::Object{{"tokenizer.ggml.model", "llama"},
                               {"tokenizer.ggml.tokens", Value::Array{"<unk>", byte,
                                                                      "\xe2\x96\x81"
                                                                      "a",
                                                                      "a"}},
                               {"tokenizer.ggml.scores", Value::Array{0.0, 0.0, -1.0, -2.0}},
                               {"tokenizer.ggml.token_type", Value::Array{2, 6, 1, 1}},
                               {"tokenizer.ggml.unknown_token_id", 0}});
  };
  for (const char* bad : {"<0x-1>", "<0x100>", "<0xG0>", "", "<0x4>"})
    CHECK_THROWS_AS(Tokenizer::from_checkpoint(test::FakeCheckpoint(metadata(bad))), Error);
  const auto t = Tokenizer::from_checkpoint(test::FakeCheckpoint(metadata("<0x62>")));
  CHECK(t->encode("ab", {false, false}) == Ids{2, 1});
  CHECK(t->decode(Ids{2, 1}) == "ab");
  CHECK(t->encode("z", {false, false}) == Ids{0, 0});
}

TEST_CASE("pre-tokenizer behaviours") {
  const auto cut = [](const char* json, std::string_view text) {
    PreTokenizer::Words words;
    const PreTokenizer pre = PreTokenizer::from_json(parse_json(json, "test"));
    pre(text, words);
    return std::vector<std::string>(words.pieces.begin(), words.pieces.end());
  };
  using Strings = std::vector<std::string>;
  const auto split = [&](const char* behavior, bool invert = false) {
    return cut((std::string(R"({"type":"Split","pattern":{"String":"-"},"behavior":")") + behavior + R"(","invert":)" +
                (invert ? "true}" : "false}"))
                   .c_str(),
               "the-final--countdown");
  };
  CHECK(split("Removed") == Strings{"the", "final", "countdown"});
  CHECK(split("Isolated") == Strings{"the", "-", "final", "-", "-", "countdown"});
  CHECK(split("MergedWithPrevious") == Strings{"the-", "final-", "-", "countdown"});
  CHECK(split("MergedWithNext") == Strings{"the", "-final", "-", "-countdown"});
  CHECK(split("Contiguous") == Strings{"the", "-", "final", "--", "countdown"});
  CHECK(split("Removed", true) == Strings{"-", "-", "-"});
  CHECK(cut(R"({"type":"Digits","individual_digits":true})", "a12b") == Strings{"a", "1", "2", "b"});
  CHECK(cut(R"({"type":"Digits","individual_digits":false})", "a12b") == Strings{"a", "12", "b"});
  CHECK(cut(R"({"type":"Whitespace"})", "Hey, you ") == Strings{"Hey", ",", "you"});
  CHECK_THROWS_AS(cut(R"({"type":"Nonsense"})", "a"), Error);
  CHECK_THROWS_AS(cut(R"({"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated"})", "a"), Error);
}

TEST_CASE("a catastrophic pattern ends in an error or an answer, not in a hang") {
  std::vector<Pattern::Span> spans;
  const Pattern pattern("(a+)+$");
  try {
    pattern.find_all(std::string(40, 'a') + "b", spans);
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::capacity);
  }
}

TEST_CASE("added tokens: strip flags, single words, the longest of several") {
  AddedTokens added;
  added.add({"<a>", 1, true, true, true, false});
  added.add({"<a>b", 2, true, false, false, false});
  added.add({"word", 3, false, false, false, true});
  std::vector<AddedTokens::Fragment> out;
  added.split("x  <a> y <a>b word sword", true, out);
  std::string seen;
  for (const auto& f : out) seen += "[" + std::string(f.text) + (f.id < 0 ? "" : "=" + std::to_string(f.id)) + "]";
  CHECK(seen == "[x][  <a> =1][y ][<a>b=2][ ][word=3][ sword]");
  CHECK_THROWS_AS(added.add({std::string(2000, 'x'), 9}), Error);
}

TEST_CASE("shared reference ids of GGUF vocabularies") {
  const auto corpus_path = test::shared("text/corpus.jsonl");
  if (!corpus_path) return;
  const auto texts = corpus(*corpus_path);
  for (const std::string name : {"gpt-2", "falcon", "mpt"}) {
    CAPTURE(name);
    const auto file = test::shared("text/vocab/ggml-vocab-" + name + ".gguf");
    const auto reference = test::shared("text/tokenizers/llamacpp-" + name + ".public-corpus.json");
    if (!file || !reference) continue;
    const auto t = Tokenizer::from_checkpoint(*Checkpoint::open(*file));
    const Value json = parse_json(read_file(*reference), reference->string());
    for (const bool special : {true, false})
      for (const auto& [id, ids] : json.find(special ? "ids" : "ids_plain")->as_object()) {
        CAPTURE(id);
        CHECK(t->encode(texts.at(id), {false, special}) == ids_of(ids));
        CHECK(streamed(t, ids_of(ids)) == t->decode(ids_of(ids)));
      }
  }
}

TEST_CASE("fixtures: tokenizer.json and GGUF agree") {
  const auto corpus_path = test::shared("text/corpus.jsonl");
  if (!corpus_path) return;
  const auto texts = corpus(*corpus_path);
  for (const std::string name : {"llama", "llama-bias", "qwen2", "mixtral"}) {
    CAPTURE(name);
    const auto hf = test::shared("models/" + name + "/hf");
    const auto gguf = test::shared("models/" + name + "/model.gguf");
    if (!hf || !gguf) continue;
    const auto a = Tokenizer::from_checkpoint(*Checkpoint::open(*hf));
    const auto b = Tokenizer::from_checkpoint(*Checkpoint::open(*gguf));
    CHECK(a->add_bos() == b->add_bos());
    CHECK(a->stop_ids() == b->stop_ids());
    for (const auto& [id, text] : texts) {
      CAPTURE(id);
      CHECK(a->encode(text, {true, true}) == b->encode(text, {true, true}));
    }
  }
}
