// rwkv_vocab_*.txt: a line "id literal length" per token, the literal a Python str or bytes.
#include <algorithm>
#include <charconv>

#include "base/error.hpp"
#include "text/byte_trie.hpp"
#include "text/python_literal.hpp"
#include "text/rank_bpe.hpp"
#include "text/rwkv.hpp"

namespace tenon {

namespace {

constexpr int64_t kMaxTokens = int64_t{1} << 22;

class LongestMatch final : public TokenModel {
 public:
  explicit LongestMatch(std::vector<std::pair<std::string_view, int32_t>> tokens) : trie_(std::move(tokens)) {}
  bool has(std::string_view token) const { return trie_.longest(token, 0).length == token.size(); }

  void encode(const Vocabulary&, std::string_view word, std::vector<int32_t>& out) const override {
    for (size_t at = 0; at < word.size();) {
      const ByteTrie::Match match = trie_.longest(word, at);  // every byte is a token
      out.push_back(match.id);
      at += match.length;
    }
  }

 private:
  ByteTrie trie_;
};

int64_t number(std::string_view digits, std::string_view place, size_t line) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value < 1 || value >= kMaxTokens)
    fail(ErrorCode::bad_model, "[{} line {}] {} is no number of 1..{}", place, line, in_quotes(digits), kMaxTokens - 1);
  return value;
}

void read_line(std::string_view text, std::string_view place, size_t line, RankedTokens& tokens) {
  const size_t first = text.find(' '), last = text.rfind(' ');
  if (first == std::string_view::npos || first == last)
    fail(ErrorCode::bad_model, "[{} line {}] not an id, a literal and a length", place, line);
  const auto id = static_cast<size_t>(number(text.substr(0, first), place, line));
  const auto length = static_cast<size_t>(number(text.substr(last + 1), place, line));
  const std::string where = fmt::format("{} line {}", place, line);
  std::string token = python_literal(text.substr(first + 1, last - first - 1), where);
  if (token.size() != length) fail(ErrorCode::bad_model, "[{}] {} bytes, not {}", where, token.size(), length);
  if (id >= tokens.size()) tokens.resize(id + 1);
  if (!tokens[id].empty()) fail(ErrorCode::bad_model, "[{}] id {} again", where, id);
  tokens[id] = std::move(token);
}

}  // namespace

void use_longest_match(TokenizerBuilder& builder, std::string_view place) {
  const Vocabulary& vocabulary = builder.vocabulary();
  std::vector<std::pair<std::string_view, int32_t>> tokens;
  for (int32_t i = 0; i < vocabulary.size(); ++i)
    if (vocabulary.kind(i) == TokenKind::normal) tokens.emplace_back(vocabulary.piece(i), i);
  auto model = std::make_unique<LongestMatch>(std::move(tokens));
  for (int b = 0; b < 256; ++b)
    if (const char byte = static_cast<char>(b); !model->has({&byte, 1}))
      fail(ErrorCode::bad_model, "[{}] the byte 0x{:02x} is no token", place, b);
  builder.set_model(std::move(model));
}

void name_rwkv_tokens(TokenizerBuilder& builder) {
  builder.set_bos(0);
  builder.set_eos(0);
  builder.add_stop(builder.vocabulary().find("\n\n"));
}

bool is_rwkv_file(std::string_view bytes) {
  const std::string_view line = bytes.substr(0, std::min(bytes.find('\n'), size_t{4096}));
  const size_t space = line.find_first_not_of("0123456789");
  if (space == 0 || space == std::string_view::npos || line[space] != ' ' || space + 2 >= line.size()) return false;
  const char quote = line[space + 1] == 'b' ? line[space + 2] : line[space + 1];
  return quote == '\'' || quote == '"';
}

std::shared_ptr<const Tokenizer> tokenizer_from_rwkv(std::string_view bytes, std::string_view place,
                                                     const Value* config, const BareOptions& options) {
  RankedTokens tokens;
  size_t line = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', at), bytes.size());
    std::string_view text = bytes.substr(at, end - at);
    at = end + 1;
    ++line;
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    if (!text.empty()) read_line(text, place, line, tokens);
  }
  if (tokens.empty()) fail(ErrorCode::bad_model, "[{}] the file has no tokens", place);
  TokenizerBuilder b;
  b.vocabulary().resize(tokens.size());
  b.vocabulary().reserve_index(tokens.size());
  for (size_t id = 1; id < tokens.size(); ++id) {
    if (tokens[id].empty()) continue;
    b.vocabulary().set(static_cast<int32_t>(id), tokens[id], TokenKind::normal);
    b.vocabulary().index(static_cast<int32_t>(id));
  }
  use_longest_match(b, place);
  add_special(b, 0, "<s>", TokenKind::control);
  name_rwkv_tokens(b);
  if (config) apply_tokenizer_config(b, *config, {.bos = 0, .eos = 0});
  apply_bare_options(b, options);
  return b.finish();
}

}  // namespace tenon
