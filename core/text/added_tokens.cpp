// A byte trie with a table for the first byte.
#include "text/added_tokens.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "text/unicode.hpp"

namespace tenon {

namespace {

constexpr size_t kMaxContent = 1024;

// The code point that ends before `at`, -1 at the start or after an invalid byte.
int32_t code_before(std::string_view text, size_t at) {
  for (size_t back = 1; back <= 4 && back <= at; ++back) {
    const unicode::Decoded d = unicode::decode(text, at - back);
    if (d.code >= 0 && d.length == back) return d.code;
  }
  return -1;
}

bool inside_word(std::string_view text, size_t begin, size_t end) {
  const int32_t before = code_before(text, begin);
  if (before >= 0 && unicode::is_word(before)) return true;
  if (end >= text.size()) return false;
  const int32_t after = unicode::decode(text, end).code;
  return after >= 0 && unicode::is_word(after);
}

size_t space_before(std::string_view text, size_t at, size_t floor) {
  while (at > floor) {
    const int32_t code = code_before(text, at);
    if (code < 0 || !unicode::is_space(code)) break;
    std::string bytes;
    unicode::append(bytes, code);
    if (at - floor < bytes.size()) break;
    at -= bytes.size();
  }
  return at;
}

size_t space_after(std::string_view text, size_t at) {
  while (at < text.size()) {
    const unicode::Decoded d = unicode::decode(text, at);
    if (d.code < 0 || !unicode::is_space(d.code)) break;
    at += d.length;
  }
  return at;
}

}  // namespace

int32_t AddedTokens::step(int32_t node, unsigned char byte) const {
  if (node == 0) return first_[byte];
  const auto& next = nodes_[static_cast<size_t>(node)].next;
  const auto it = std::lower_bound(next.begin(), next.end(), std::pair<unsigned char, int32_t>{byte, -1});
  return it != next.end() && it->first == byte ? it->second : -1;
}

void AddedTokens::add(AddedToken token) {
  if (token.content.empty()) return;
  if (token.content.size() > kMaxContent)
    fail(ErrorCode::bad_model, "[tokenizer] added token {} has {} bytes, more than {}", token.id, token.content.size(),
         kMaxContent);
  int32_t node = 0;
  for (char c : token.content) {
    const auto byte = static_cast<unsigned char>(c);
    int32_t next = step(node, byte);
    if (next < 0) {
      next = static_cast<int32_t>(nodes_.size());
      nodes_.emplace_back();
      auto& edges = nodes_[static_cast<size_t>(node)].next;
      const std::pair<unsigned char, int32_t> edge{byte, next};
      edges.insert(std::lower_bound(edges.begin(), edges.end(), edge), edge);
      if (node == 0) first_[byte] = next;
    }
    node = next;
  }
  Node& end = nodes_[static_cast<size_t>(node)];
  if (end.token >= 0) return;
  end.token = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(std::move(token));
}

int32_t AddedTokens::find(std::string_view content) const {
  int32_t node = 0;
  for (char c : content) {
    node = step(node, static_cast<unsigned char>(c));
    if (node < 0) return -1;
  }
  const int32_t token = nodes_[static_cast<size_t>(node)].token;
  return token < 0 ? -1 : tokens_[static_cast<size_t>(token)].id;
}

const AddedToken* AddedTokens::longest(std::string_view text, size_t at, size_t special_end) const {
  const AddedToken* best = nullptr;
  for (int32_t node = 0; at < text.size(); ++at) {
    node = step(node, static_cast<unsigned char>(text[at]));
    if (node < 0) break;
    const int32_t token = nodes_[static_cast<size_t>(node)].token;
    if (token >= 0 && (at < special_end || !tokens_[static_cast<size_t>(token)].special))
      best = &tokens_[static_cast<size_t>(token)];
  }
  return best;
}

void AddedTokens::split(std::string_view text, bool parse_special, std::vector<Fragment>& out,
                        const TextSpans* special_within) const {
  size_t span = 0;
  // Where special tokens that begin at `at` must end; `at` only grows.
  const auto special_end = [&](size_t at) -> size_t {
    if (!parse_special) return 0;
    if (!special_within) return text.size();
    while (span < special_within->size() && (*special_within)[span].end <= at) ++span;
    return span < special_within->size() && (*special_within)[span].begin <= at ? (*special_within)[span].end : 0;
  };
  size_t plain = 0;  // start of the text not yet handed out
  for (size_t at = 0; at < text.size();) {
    if (first_[static_cast<unsigned char>(text[at])] < 0) {
      ++at;
      continue;
    }
    const AddedToken* token = longest(text, at, special_end(at));
    if (!token) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + token->content.size();
    at = end;
    if (token->single_word && inside_word(text, begin, end)) continue;
    if (token->lstrip) begin = space_before(text, begin, plain);
    if (token->rstrip) end = space_after(text, end);  // in which further tokens are found all the same
    if (begin > plain) out.push_back({text.substr(plain, begin - plain), -1});
    out.push_back({text.substr(begin, end - begin), token->id});
    plain = std::max(plain, end);
  }
  if (plain < text.size()) out.push_back({text.substr(plain), -1});
}

}  // namespace tenon
