// The unigram language model (Kudo 2018): of all ways to cut a word into tokens the one whose scores add up to most.
// One pass over a trie, so a word of n bytes takes n steps times the length of the longest token.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/byte_trie.hpp"
#include "text/token_model.hpp"

namespace tenon {

class Unigram final : public TokenModel {
 public:
  static constexpr double kUnknownPenalty = 10;  // of an unknown character, below the lowest score

  struct Options {
    std::vector<double> scores;                                // by id
    std::vector<std::pair<std::string_view, int32_t>> tokens;  // that may be found, none twice or empty
    double unknown_score = 0;                                  // of a character that no token spells
    int32_t unknown_id = -1;
    bool single_precision = false;  // sums of scores are kept as 32 bits
    bool byte_fallback = false;
    std::array<int32_t, 256> byte_ids{};  // for it; -1 where there is none
  };
  explicit Unigram(Options options);

  void encode(const Vocabulary& vocabulary, std::string_view word, std::vector<int32_t>& out) const override;

 private:
  struct Step {
    double score = 0;
    uint32_t begin = 0;
    int32_t id = -1;
    bool reached = false;
  };
  static void reach(Step& end, double score, uint32_t begin, int32_t id, bool single_precision);
  std::vector<Step> best_steps(std::string_view word) const;
  void emit_unknown(const Vocabulary& vocabulary, std::string_view text, std::vector<int32_t>& out) const;

  Options options_;
  ByteTrie trie_;
};

}  // namespace tenon
