// Masks against trying every token, on a real vocabulary.
#include <doctest/doctest.h>

#include <random>

#include "base/error.hpp"
#include "fixtures.hpp"
#include "text/grammar/mask.hpp"
#include "text/grammar/regex.hpp"
#include "text/tokenizer.hpp"

namespace tenon::grammar {
namespace {

std::shared_ptr<const Tokenizer> gpt2() {
  const auto path = test::shared("text/vocab/ggml-vocab-gpt-2.gguf");
  return path ? Tokenizer::from_checkpoint(*Checkpoint::open(*path)) : nullptr;
}

DfaPtr share(Dfa dfa) { return std::make_shared<const Dfa>(std::move(dfa)); }

/// Follows tokens drawn among the allowed ones and compares each mask with what every token does.
void check_masks(Grammar grammar, const std::shared_ptr<const VocabularyTrie>& vocabulary, int steps) {
  TokenMasks masks(Compiled::compile(std::move(grammar)), vocabulary);
  std::mt19937 random(7);
  State state = masks.start();
  for (int step = 0; step < steps; ++step) {
    const auto mask = masks.mask(state);
    std::vector<int32_t> allowed;
    int wrong = 0;
    for (int32_t id = 0; id < vocabulary->size(); ++id) {
      const bool bit = (*mask)[static_cast<size_t>(id) / 64] >> (id % 64) & 1;
      wrong += bit != (masks.after(state, id) != kNoState);
      if (bit) allowed.push_back(id);
    }
    CHECK(wrong == 0);
    if (allowed.empty()) {
      CHECK(masks.complete(state));
      state = masks.start();
    } else {
      state = masks.after(state, allowed[random() % allowed.size()]);
    }
  }
}

TEST_CASE("masks are what trying every token gives") {
  const auto tokenizer = gpt2();
  if (!tokenizer) return;
  const auto vocabulary = VocabularyTrie::of(tokenizer);
  SUBCASE("any text in a string, counted or not") {
    Grammar g;
    g.root = g.add(JsonString{share(any_text())});
    check_masks(g, vocabulary, 10);
    g.nodes[0] = JsonString{share(any_text()), 0, 40};
    check_masks(g, vocabulary, 15);
  }
  SUBCASE("strings of a pattern") {
    for (const char* pattern : {"^[a-z ]{3,9}$", "^(ab?)*$", "^.{0,5}$", "[0-9]"}) {
      Grammar g;
      g.root = g.add(JsonString{share(regex_search(pattern))});
      check_masks(g, vocabulary, 10);
    }
  }
  SUBCASE("an object") {
    Grammar g;
    g.whitespace = share(regex("[ \\n]{0,4}"));
    const NodeId text = g.add(JsonString{share(any_text()), 0, 8}), number = g.add(Bytes{share(regex("-?[0-9]{1,3}"))});
    const NodeId list = g.add(Array{.rest = {number}});
    const auto others = share(subtract(any_text(), literals(std::vector<std::string_view>{"name", "list"})));
    g.root = g.add(Object{
        .properties = {{"name", text, true}, {"list", list, false}}, .rest = {{others, text}}, .max_properties = 4});
    check_masks(g, vocabulary, 60);
  }
}

TEST_CASE("the end is where no token may follow") {
  const auto tokenizer = gpt2();
  if (!tokenizer) return;
  Grammar g;
  g.root = g.add(Bytes{share(regex("yes|no"))});
  TokenMasks masks(Compiled::compile(g), VocabularyTrie::of(tokenizer));
  State state = masks.start();
  CHECK_FALSE(masks.accepts(state));
  for (int32_t id : tokenizer->encode("yes", {})) state = masks.after(state, id);
  CHECK(masks.complete(state));
  CHECK(masks.after(state, 0) == kNoState);
  CHECK(masks.after(masks.start(), -1) == kNoState);
  CHECK(masks.after(masks.start(), tokenizer->size()) == kNoState);
}

}  // namespace
}  // namespace tenon::grammar
