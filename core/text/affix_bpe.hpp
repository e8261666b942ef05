// Byte-pair encoding as Hugging Face's tokenizers defines it beyond what Bpe does: prefixes inside a word, a suffix at
// its end, characters that are dropped for want of an unknown token.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/token_model.hpp"

namespace tenon {

class AffixBpe final : public TokenModel {
 public:
  struct Options {
    std::string continuing_prefix, end_suffix;
    bool ignore_merges = false, fuse_unknown = false, byte_fallback = false;
    std::array<int32_t, 256> byte_ids{};  // for byte_fallback; -1 where there is none
    int32_t unknown_id = -1;              // -1 drops what is unknown
  };
  explicit AffixBpe(Options options) : options_(std::move(options)) {}
  /// Of two merges of a pair the later one counts, at its place.
  void add_merge(int32_t left, int32_t right, int32_t merged);

  void encode(const Vocabulary& vocabulary, std::string_view word, std::vector<int32_t>& out) const override;

 private:
  struct Merge {
    uint32_t rank;
    int32_t id;
  };
  struct Symbols;
  bool cut_into_bytes(std::string_view character, std::vector<int32_t>& out) const;
  std::vector<int32_t> cut(const Vocabulary& vocabulary, std::string_view word) const;
  const Merge* merge_at(const Symbols& symbols, uint32_t left) const;
  void merge(std::vector<int32_t> ids, std::vector<int32_t>& out) const;

  Options options_;
  std::unordered_map<uint64_t, Merge> merges_;
  uint32_t next_rank_ = 0;
};

}  // namespace tenon
