// Byte-pair encoding of one word: merges the adjacent pair of lowest cost, the leftmost of equals, until none is left.
// A linked list under a heap, so a word of n symbols takes n log n steps whatever it holds.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/token_model.hpp"
#include "text/vocabulary.hpp"

namespace tenon {

class Bpe final : public TokenModel {
 public:
  enum class Symbols { bytes, characters };  // what a word is cut into before merging
  struct Options {
    Symbols symbols = Symbols::bytes;
    bool ignore_merges = false;  // a word that is a token is taken whole
    bool by_score = false;       // any pair whose text is a token merges, the highest score first (no merge list)
    bool byte_fallback = false;  // characters without a token become <0xNN> tokens
    bool fuse_unknown = false;
    int32_t unknown_id = -1;  // for what has no token at all; -1 drops it
  };

  Bpe() { byte_ids_.fill(-1); }
  void configure(const Options& options) { options_ = options; }
  void set_byte(uint8_t byte, int32_t id) { byte_ids_[byte] = id; }
  void set_scores(std::vector<float> scores) { scores_ = std::move(scores); }
  void reserve_merges(size_t merges);
  /// A pair given twice keeps its first rank.
  void add_merge(int32_t left, int32_t right, int32_t merged);

  void encode(const Vocabulary& vocabulary, std::string_view word, std::vector<int32_t>& out) const override;

 private:
  struct Merge {
    uint64_t pair = kNoPair;
    int32_t rank = 0;
    int32_t id = 0;
  };
  struct Symbol {
    uint32_t begin = 0, length = 0;  // length 0: merged away
    int32_t id = -1, previous = -1, next = -1;
  };
  struct Pair {
    uint64_t key = ~uint64_t{0};  // what it costs, then where it is
    int32_t id = -1;              // of what it makes; -1: nothing
  };
  static constexpr uint64_t kNoPair = ~uint64_t{0};

  const Merge* find_merge(int32_t left, int32_t right) const;
  void cut(const Vocabulary& vocabulary, std::string_view word, std::vector<Symbol>& symbols) const;
  void cut_character(std::string_view word, Symbol symbol, std::vector<Symbol>& symbols) const;
  void merge_all(const Vocabulary& vocabulary, std::string_view word, std::vector<Symbol>& symbols) const;
  Pair pair_at(const Vocabulary& vocabulary, std::string_view word, const std::vector<Symbol>& symbols,
               int32_t left) const;
  static void join(std::vector<Symbol>& symbols, int32_t left, int32_t id);
  void emit(std::string_view word, const Symbol& symbol, bool& after_unknown, std::vector<int32_t>& out) const;

  Options options_;
  std::array<int32_t, 256> byte_ids_;
  std::vector<Merge> merges_;  // open addressing
  size_t n_merges_ = 0;
  int32_t next_rank_ = 0;
  std::vector<float> scores_;
};

}  // namespace tenon
