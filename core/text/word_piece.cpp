#include "text/word_piece.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "text/unicode.hpp"

namespace tenon {

namespace {

int32_t unknown(int32_t id, std::string_view word) {
  if (id < 0)
    fail(ErrorCode::bad_model, "[tokenize] '{}' is no token, and the vocabulary has none for unknown words",
         word.substr(0, unicode::valid_end(word.substr(0, 64), 0)));
  return id;
}

}  // namespace

WordPiece::WordPiece(Options options)
    : trie_(std::move(options.tokens)),
      continuing_(trie_.place(options.continuing_prefix)),
      max_characters_(options.max_characters),
      unknown_id_(options.unknown_id) {}

bool WordPiece::spell(std::string_view word, std::vector<int32_t>& out) const {
  for (size_t at = 0; at < word.size();) {
    if (at > 0 && !continuing_) return false;
    const ByteTrie::Match match = trie_.longest(word, at, at > 0 ? *continuing_ : 0);
    if (match.length == 0) return false;
    out.push_back(match.id);
    at += match.length;
  }
  return true;
}

void WordPiece::encode(const Vocabulary&, std::string_view word, std::vector<int32_t>& out) const {
  const size_t before = out.size();
  if (word.size() > max_characters_ && unicode::length(word) > max_characters_)
    return out.push_back(unknown(unknown_id_, word));
  if (spell(word, out)) return;
  out.resize(before);
  out.push_back(unknown(unknown_id_, word));
}

void WordLevel::encode(const Vocabulary& vocabulary, std::string_view word, std::vector<int32_t>& out) const {
  const int32_t id = vocabulary.find(word);
  out.push_back(id >= 0 ? id : unknown(unknown_id_, word));
}

void SpacedWords::encode(const Vocabulary& vocabulary, std::string_view text, std::vector<int32_t>& out) const {
  bool after_unknown = false;
  for (size_t at = 0, end = 0; at < text.size(); at = end) {
    end = std::min(text.find(' ', at + 1), text.size());
    const std::string_view word = text.substr(at, end - at);
    const int32_t id = vocabulary.find(word);
    if (id >= 0 || !after_unknown) out.push_back(id >= 0 ? id : unknown(unknown_id_, word));
    after_unknown = id < 0;
  }
}

}  // namespace tenon
