// Tokens in one blob, found through an open-addressing table whose hash is seeded per process.
#include "text/vocabulary.hpp"

#include <array>
#include <cstring>
#include <random>

#include "base/error.hpp"
#include "text/unicode.hpp"

namespace tenon {

namespace {

constexpr size_t kMaxTokens = size_t{1} << 22;
constexpr size_t kMaxBlob = size_t{1} << 30;

__extension__ typedef unsigned __int128 Wide;

uint64_t mix(uint64_t a, uint64_t b) {
  const Wide product = Wide{a ^ 0x9e3779b97f4a7c15ull} * (b ^ 0xd6e8feb86659fd93ull);
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Seeded, so that a file cannot be made to collide.
uint64_t hash_bytes(std::string_view s) {
  static const uint64_t seed = (uint64_t{std::random_device{}()} << 32) | std::random_device{}();
  uint64_t h = seed ^ s.size();
  size_t i = 0;
  for (; i + 8 <= s.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, s.data() + i, 8);
    h = mix(h, word);
  }
  uint64_t tail = 0;
  if (i < s.size()) std::memcpy(&tail, s.data() + i, s.size() - i);
  h = mix(h, tail);
  return mix(h, seed >> 7);
}

// Byte of each code point below 0x144 in GPT-2's spelling, -1 for none: printable Latin-1 stands for itself, the 68
// others follow from U+0100 in order.
const std::array<int16_t, 0x144>& spelled_bytes() {
  static const std::array<int16_t, 0x144> table = [] {
    std::array<int16_t, 0x144> t{};
    t.fill(-1);
    int next = 0x100;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
      t[static_cast<size_t>(printable ? b : next++)] = static_cast<int16_t>(b);
    }
    return t;
  }();
  return table;
}

}  // namespace

void Vocabulary::resize(size_t tokens) {
  if (tokens > kMaxTokens) fail(ErrorCode::bad_model, "[tokenizer] {} tokens are more than {}", tokens, kMaxTokens);
  if (tokens > pieces_.size()) pieces_.resize(tokens);
}

void Vocabulary::set(int32_t id, std::string_view bytes, TokenKind kind) {
  if (!contains(id)) fail(ErrorCode::bad_model, "[tokenizer] token id {} is outside 0..{}", id, size() - 1);
  if (blob_.size() + bytes.size() > kMaxBlob)
    fail(ErrorCode::bad_model, "[tokenizer] the tokens' text exceeds {} bytes", kMaxBlob);
  pieces_[static_cast<size_t>(id)] = {blob_.size(), static_cast<uint32_t>(bytes.size()), kind};
  blob_ += bytes;
}

void Vocabulary::reserve_index(size_t tokens) {
  size_t n = 64;
  while (n < tokens * 2) n *= 2;
  if (n > slots_.size()) slots_.assign(n, Slot{});
}

size_t Vocabulary::slot_of(std::string_view bytes, uint64_t hash) const {
  const auto tag = static_cast<uint32_t>(hash >> 32);
  size_t slot = hash & (slots_.size() - 1);
  while (slots_[slot].id >= 0 && (slots_[slot].tag != tag || piece(slots_[slot].id) != bytes))
    slot = (slot + 1) & (slots_.size() - 1);
  return slot;
}

void Vocabulary::index(int32_t id) {
  if ((used_ + 1) * 2 > slots_.size()) {
    std::vector<Slot> old;
    old.swap(slots_);
    slots_.assign(old.empty() ? 64 : old.size() * 2, Slot{});
    for (const Slot& o : old)
      if (o.id >= 0) slots_[slot_of(piece(o.id), hash_bytes(piece(o.id)))] = o;
  }
  const uint64_t hash = hash_bytes(piece(id));
  const size_t slot = slot_of(piece(id), hash);
  if (slots_[slot].id >= 0) return;
  slots_[slot] = {static_cast<uint32_t>(hash >> 32), id};
  ++used_;
}

int32_t Vocabulary::find(std::string_view bytes) const {
  return slots_.empty() ? -1 : slots_[slot_of(bytes, hash_bytes(bytes))].id;
}

void Vocabulary::find_all(std::span<const std::string> bytes, std::span<int32_t> out) const {
  constexpr size_t kSideBySide = 32;
  if (slots_.empty()) return std::fill(out.begin(), out.end(), -1);
  for (size_t first = 0; first < bytes.size(); first += kSideBySide) {
    const size_t n = std::min(kSideBySide, bytes.size() - first);
    uint64_t hashes[kSideBySide];
    for (size_t i = 0; i < n; ++i) {
      hashes[i] = hash_bytes(bytes[first + i]);
      __builtin_prefetch(&slots_[hashes[i] & (slots_.size() - 1)]);
    }
    for (size_t i = 0; i < n; ++i)
      if (const int32_t id = slots_[hashes[i] & (slots_.size() - 1)].id; id >= 0)
        __builtin_prefetch(&pieces_[static_cast<size_t>(id)]);
    for (size_t i = 0; i < n; ++i)
      if (const int32_t id = slots_[hashes[i] & (slots_.size() - 1)].id; id >= 0)
        __builtin_prefetch(blob_.data() + pieces_[static_cast<size_t>(id)].offset);
    for (size_t i = 0; i < n; ++i) out[first + i] = slots_[slot_of(bytes[first + i], hashes[i])].id;
  }
}

bool unspell_bytes(std::string_view spelled, std::string& bytes) {
  const auto& table = spelled_bytes();
  bytes.clear();
  for (size_t at = 0; at < spelled.size();) {
    if (spelled[at] > 0x20 && spelled[at] < 0x7f) {
      bytes += spelled[at++];
      continue;
    }
    const unicode::Decoded d = unicode::decode(spelled, at);
    if (d.code < 0 || d.code >= static_cast<int32_t>(table.size()) || table[static_cast<size_t>(d.code)] < 0)
      return false;
    bytes += static_cast<char>(table[static_cast<size_t>(d.code)]);
    at += d.length;
  }
  return true;
}

std::optional<uint8_t> byte_token(std::string_view s) {
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  if (s.size() != 6 || s.substr(0, 3) != "<0x" || s[5] != '>') return std::nullopt;
  const int high = digit(s[3]), low = digit(s[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<uint8_t>(high * 16 + low);
}

}  // namespace tenon
