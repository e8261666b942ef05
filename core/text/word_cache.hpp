// The ids of words that came before: texts repeat most of theirs. Of one encoding, so nothing is shared between
// threads.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "text/token_model.hpp"

namespace tenon {

class WordCache {
 public:
  /// Short texts repeat too little to make up for the table.
  explicit WordCache(size_t text_size) : entries_(text_size >= kShortText ? kEntries : 0) {}

  /// As model.encode.
  void encode(const TokenModel& model, const Vocabulary& vocabulary, std::string_view word, std::vector<int32_t>& out) {
    if (word.empty() || word.size() > kLongest || entries_.empty()) return model.encode(vocabulary, word, out);
    Entry& entry = entries_[slot(word)];
    if (entry.length == word.size() && std::memcmp(entry.word.data(), word.data(), word.size()) == 0) {
      out.insert(out.end(), entry.ids.begin(), entry.ids.begin() + entry.n_ids);
      return;
    }
    const size_t before = out.size();
    model.encode(vocabulary, word, out);
    const size_t n = out.size() - before;
    if (n > kMostIds) return;
    entry.length = static_cast<uint8_t>(word.size());
    entry.n_ids = static_cast<uint8_t>(n);
    std::memcpy(entry.word.data(), word.data(), word.size());
    std::copy(out.begin() + static_cast<std::ptrdiff_t>(before), out.end(), entry.ids.begin());
  }

 private:
  static constexpr size_t kShortText = 4096, kEntries = 8192, kLongest = 30, kMostIds = 8;
  struct Entry {
    uint8_t length = 0, n_ids = 0;
    std::array<char, kLongest> word;
    std::array<int32_t, kMostIds> ids;
  };

  static size_t slot(std::string_view word) {
    uint64_t hash = word.size(), chunk = 0;
    for (size_t at = 0; at < word.size(); at += sizeof chunk) {
      chunk = 0;
      std::memcpy(&chunk, word.data() + at, std::min(sizeof chunk, word.size() - at));
      hash = (hash ^ chunk) * 0x9E3779B97F4A7C15ull;
      hash ^= hash >> 32;
    }
    return hash % kEntries;
  }

  std::vector<Entry> entries_;
};

}  // namespace tenon
