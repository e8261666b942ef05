// A set of small numbers.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tenon::grammar {

class Bits {
 public:
  explicit Bits(size_t size = 0) : words_((size + 63) / 64) {}
  void set(size_t i) { words_[i / 64] |= uint64_t{1} << (i % 64); }
  bool has(size_t i) const { return words_[i / 64] >> (i % 64) & 1; }
  /// Adds the other's; true when that added anything.
  bool unite(const Bits& other) {
    uint64_t changed = 0;
    for (size_t i = 0; i < words_.size(); ++i) {
      changed |= other.words_[i] & ~words_[i];
      words_[i] |= other.words_[i];
    }
    return changed != 0;
  }
  bool intersects(const Bits& other) const {
    for (size_t i = 0; i < words_.size(); ++i)
      if (words_[i] & other.words_[i]) return true;
    return false;
  }
  bool within(const Bits& other) const {
    for (size_t i = 0; i < words_.size(); ++i)
      if (words_[i] & ~other.words_[i]) return false;
    return true;
  }
  Bits without(const Bits& other) const {
    Bits out = *this;
    for (size_t i = 0; i < words_.size(); ++i) out.words_[i] &= ~other.words_[i];
    return out;
  }
  uint32_t count() const {
    uint32_t n = 0;
    for (uint64_t w : words_) n += static_cast<uint32_t>(std::popcount(w));
    return n;
  }
  const std::vector<uint64_t>& words() const { return words_; }
  bool operator==(const Bits&) const = default;

 private:
  std::vector<uint64_t> words_;
};

}  // namespace tenon::grammar
