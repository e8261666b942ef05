#include "text/grammar/vocabulary_trie.hpp"

#include <algorithm>

#include "text/tokenizer.hpp"
#include "text/unicode.hpp"

namespace tenon::grammar {
namespace {

constexpr size_t kMaxDepth = 65535;

/// The characters of a text that a JSON string takes as it is; 0 for any other.
uint32_t plain_characters(std::string_view text) {
  uint32_t n = 0;
  for (size_t at = 0; at < text.size(); ++n) {
    const unicode::Decoded d = unicode::decode(text, at);
    if (d.code < 0x20 || d.code == '"' || d.code == '\\') return 0;
    at += d.length;
  }
  return n;
}

void set(Mask& mask, int32_t id) { mask[static_cast<size_t>(id) / 64] |= uint64_t{1} << (id % 64); }

}  // namespace

TokenTrie::TokenTrie(std::vector<Token> tokens) {
  std::sort(tokens.begin(), tokens.end(), [](const Token& a, const Token& b) {
    const int order = a.bytes.compare(b.bytes);
    return order != 0 ? order < 0 : a.id < b.id;
  });
  std::vector<uint32_t> path;  // nodes from the root to the newest one
  const auto close_to = [&](size_t depth) {
    for (; path.size() > depth; path.pop_back()) nodes_[path.back()].skip = static_cast<uint32_t>(nodes_.size());
  };
  std::string_view before;
  for (const Token& token : tokens) {
    const auto [a, b] = std::mismatch(before.begin(), before.end(), token.bytes.begin(), token.bytes.end());
    close_to(static_cast<size_t>(a - before.begin()));
    while (path.size() < token.bytes.size()) {
      const auto byte = static_cast<uint8_t>(token.bytes[path.size()]);
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back({0, static_cast<uint32_t>(ids_.size()), 0, static_cast<uint16_t>(path.size()), byte});
    }
    ids_.push_back(token.id);
    ++nodes_[path.back()].n_tokens;
    depth_ = std::max(depth_, static_cast<uint32_t>(path.size()));
    before = token.bytes;
  }
  close_to(0);
}

std::shared_ptr<const VocabularyTrie> VocabularyTrie::of(std::shared_ptr<const Tokenizer> tokenizer) {
  auto v = std::make_shared<VocabularyTrie>();
  v->size_ = tokenizer->size();
  v->plain_.assign(kShort + 2, Mask((static_cast<size_t>(v->size_) + 63) / 64));
  std::vector<TokenTrie::Token> short_plain, long_plain, rest;
  for (int32_t id = 0; id < v->size_; ++id) {
    const std::string_view bytes = tokenizer->piece(id);
    if (bytes.empty() || bytes.size() > kMaxDepth || !tokenizer->is_text(id)) continue;
    const uint32_t characters = plain_characters(bytes);
    (characters == 0 ? rest : characters <= kShort ? short_plain : long_plain).push_back({bytes, id});
    for (uint32_t n = characters; characters > 0 && n <= kShort; ++n) set(v->plain_[n], id);
    if (characters > 0) set(v->plain_.back(), id);
  }
  v->short_plain_ = TokenTrie(std::move(short_plain));
  v->long_plain_ = TokenTrie(std::move(long_plain));
  v->rest_ = TokenTrie(std::move(rest));
  v->tokenizer_ = std::move(tokenizer);
  return v;
}

std::string_view VocabularyTrie::piece(int32_t id) const {
  return tokenizer_->is_text(id) ? tokenizer_->piece(id) : std::string_view();
}

}  // namespace tenon::grammar
