#include "text/score_bpe.hpp"

#include "base/error.hpp"

namespace tenon {

std::string unmarked(std::string_view text) {
  static constexpr std::string_view kMark = "\xe2\x96\x81";
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const bool mark = text.compare(at, kMark.size(), kMark) == 0;
    out += mark ? ' ' : text[at];
    at += mark ? kMark.size() : 1;
  }
  return out;
}

void set_marked_token(TokenizerBuilder& builder, int32_t id, std::string_view text, TokenKind kind) {
  if (kind != TokenKind::byte) return builder.vocabulary().set(id, unmarked(text), kind);
  const auto byte = byte_token(text);
  if (!byte) fail(ErrorCode::bad_model, "[tokenizer] token {} has the byte type but is spelled '{}'", id, text);
  builder.vocabulary().set(id, std::string(1, static_cast<char>(*byte)), kind);
  builder.bpe().set_byte(*byte, id);
}

// Ordinary tokens first: where two share their bytes, merging has to find those.
void index_tokens(TokenizerBuilder& builder) {
  Vocabulary& vocabulary = builder.vocabulary();
  for (const bool normal : {true, false})
    for (int32_t i = 0; i < vocabulary.size(); ++i) {
      const TokenKind kind = vocabulary.kind(i);
      const bool indexed = kind != TokenKind::control && kind != TokenKind::unused && kind != TokenKind::byte;
      if (indexed && (kind == TokenKind::normal) == normal) vocabulary.index(i);
    }
}

static std::string single_spaces(std::string_view text) {
  std::string out;
  for (const char c : text)
    if (c != ' ' || (!out.empty() && out.back() != ' ')) out += c;
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

void use_score_bpe(TokenizerBuilder& builder, ScoreBpe how) {
  for (float& score : how.scores)
    if (!(score == score)) score = -1e30f;
  Bpe::Options options;
  options.symbols = Bpe::Symbols::characters;
  options.by_score = true;
  options.byte_fallback = how.byte_fallback;
  options.fuse_unknown = how.fuse_unknown;
  options.unknown_id = how.unknown_id;
  builder.bpe().configure(options);
  builder.bpe().set_scores(std::move(how.scores));
  builder.normalizer().add(unmarked);
  if (how.remove_extra_whitespaces) builder.normalizer().add(single_spaces);
  if (!how.add_prefix) return;
  builder.drop_first_space(FirstSpace::dropped_behind_control);
  builder.normalizer().add([](std::string_view s) { return s.empty() ? std::string() : " " + std::string(s); });
}

}  // namespace tenon
