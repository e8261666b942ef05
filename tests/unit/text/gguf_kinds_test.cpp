// GGUF's WordPiece and unigram vocabularies.
#include <doctest/doctest.h>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "fixtures.hpp"
#include "text/fake_checkpoint.hpp"
#include "text/tokenizer_build.hpp"

using namespace tenon;

namespace {

using Ids = std::vector<int32_t>;
const EncodeOptions kPlain{false, true};

Value::Object word_piece() {
  return {{"tokenizer.ggml.model", "bert"},
          {"tokenizer.ggml.tokens", Value::Array{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁hello", "s", "▁,", "▁中"}},
          {"tokenizer.ggml.token_type", Value::Array{3, 2, 3, 3, 1, 1, 1, 1}},
          {"tokenizer.ggml.unknown_token_id", 1},
          {"tokenizer.ggml.cls_token_id", 2},
          {"tokenizer.ggml.seperator_token_id", 3}};
}

Value::Object unigram() {
  return {{"tokenizer.ggml.model", "t5"},
          {"tokenizer.ggml.tokens", Value::Array{"<pad>", "</s>", "<unk>", "▁", "a", "b", "ab", "▁a"}},
          {"tokenizer.ggml.token_type", Value::Array{3, 3, 2, 1, 1, 1, 1, 1}},
          {"tokenizer.ggml.scores", Value::Array{0.0, 0.0, 0.0, -2.0, -3.0, -3.5, -4.0, -3.2}},
          {"tokenizer.ggml.eos_token_id", 1},
          {"tokenizer.ggml.unknown_token_id", 2}};
}

std::shared_ptr<const Tokenizer> load(Value::Object metadata) {
  return Tokenizer::from_checkpoint(test::FakeCheckpoint(Value(std::move(metadata))));
}

}  // namespace

TEST_CASE("gguf: WordPiece marks where words begin") {
  const auto t = load(word_piece());
  CHECK(t->encode("Hellos, HELLO", kPlain) == Ids{4, 5, 6, 4});
  CHECK(t->encode("hello", {}) == Ids{2, 4, 3});
  CHECK(t->encode("s中[SEP]", kPlain) == Ids{1, 7, 3});
  CHECK(t->decode(Ids{4, 5, 6, 4}) == "hellos, hello");
  CHECK(t->decode(Ids{2, 4, 3}, true) == "hello");
  Value::Object cased = word_piece();
  cased.emplace_back("tokenizer.ggml.normalizer.lowercase", false);
  CHECK(load(cased)->encode("HELLO hello", kPlain) == Ids{1, 4});
}

TEST_CASE("gguf: unigram") {
  const auto t = load(unigram());
  CHECK(t->encode("ab  ab", kPlain) == Ids{3, 6, 3, 6});
  CHECK(t->encode("a xya", {}) == Ids{7, 3, 2, 4, 1});
  CHECK(t->decode(Ids{7, 3, 5}) == "a b");
  Value::Object open = unigram();
  open.emplace_back("tokenizer.ggml.add_space_prefix", false);
  open.emplace_back("tokenizer.ggml.remove_extra_whitespaces", false);
  CHECK(load(open)->encode("a  a", kPlain) == Ids{4, 3, 7});
  for (const Value& map : {Value("text"), Value(Value::Array{1, 2, 3}), Value(Value::Array{300, 0, 0, 0, 0})}) {
    Value::Object broken = unigram();
    broken.emplace_back("tokenizer.ggml.precompiled_charsmap", map);
    CHECK_THROWS_AS(load(broken), Error);
  }
}

TEST_CASE("gguf: the shared WordPiece vocabulary against Hugging Face's ids") {
  const auto corpus = test::shared("text/corpus.jsonl");
  const auto file = test::shared("text/vocab/ggml-vocab-bert-bge.gguf");
  const auto reference = test::shared("text/tokenizers/bert-minilm.public-corpus.json");
  if (!corpus || !file || !reference) return;
  const auto t = Tokenizer::from_checkpoint(*Checkpoint::open(*file));
  const Value json = parse_json(read_file(*reference), "reference");
  const std::string lines = read_file(*corpus);
  size_t seen = 0;
  for (size_t at = 0, end = 0; at < lines.size(); at = end + 1, ++seen) {
    end = std::min(lines.find('\n', at), lines.size());
    const Value line = parse_json(std::string_view(lines).substr(at, end - at), "corpus");
    const std::string &id = line.find("id")->as_string(), &text = line.find("text")->as_string();
    CAPTURE(id);
    Ids want;
    for (const Value& v : json.find("ids")->find(id)->as_array()) want.push_back(static_cast<int32_t>(v.as_int()));
    CHECK(t->encode(text, kPlain) == want);
    const Value* decoded = json.find("decoded")->find(id);
    CHECK(t->decode(want) == (decoded ? decoded->as_string() : text));
  }
  CHECK(seen == 390);
}
