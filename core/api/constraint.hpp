// Constrained output without a model: checking texts, drawing random ones.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/grammar/grammar.hpp"
#include "text/grammar/mask.hpp"
#include "text/tokenizer.hpp"

namespace tenon::api {

/// Where a text leaves the grammar: -1 for an accepted one, otherwise the first byte that cannot come, or the length of
/// a text that lacks its end. Errors of grammar::Compiled.
int64_t first_rejected(grammar::Grammar grammar, std::string_view text);

struct SampleOptions {
  uint64_t seed = 0;
  int64_t tokens = 64;  // then the text ends as soon as it can
  int64_t max_tokens = 4096;
};
struct Sample {
  std::string text;
  std::vector<int32_t> ids;
  bool complete = false;  // the text may end here
};
/// Draws among the allowed tokens, each as likely as any other.
Sample random_sample(grammar::TokenMasks& masks, const SampleOptions& options);

/// What masks cost, token by token, along a text.
struct MaskTimes {
  double compile_ms = 0;
  std::vector<double> cold_us, warm_us;  // with a fresh grammar, and once more
};
/// Error{usage} when the text is not accepted token by token.
MaskTimes time_masks(const grammar::Grammar& grammar, const std::shared_ptr<const grammar::VocabularyTrie>& vocabulary,
                     const std::vector<int32_t>& ids);

}  // namespace tenon::api
