// SentencePiece's BPE merges any two neighbours whose text is a token, the highest score first.
#include "text/sentencepiece_models.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "base/error.hpp"
#include "text/affix_bpe.hpp"
#include "text/unigram.hpp"
#include "text/word_piece.hpp"

namespace tenon {

namespace {

std::array<int32_t, 256> byte_ids(const Vocabulary& vocabulary) {
  std::array<int32_t, 256> ids{};
  ids.fill(-1);
  for (int32_t id = 0; id < vocabulary.size(); ++id)
    if (vocabulary.kind(id) == TokenKind::byte && vocabulary.piece(id).size() == 1)
      ids[static_cast<unsigned char>(vocabulary.piece(id)[0])] = id;
  return ids;
}

void use_bpe(TokenizerBuilder& builder, SentencePieceModel& how) {
  Bpe::Options options;
  options.symbols = Bpe::Symbols::characters;
  options.by_score = true;
  options.byte_fallback = how.byte_fallback;
  options.fuse_unknown = how.fuse_unknown;
  options.unknown_id = how.unknown_id;
  Bpe& bpe = builder.bpe();
  bpe.configure(options);
  bpe.set_scores(std::move(how.scores));
  set_bpe_bytes(builder);
}

// The length that SentencePiece sees, where a space takes three bytes.
size_t marked_length(std::string_view text) {
  return text.size() + 2 * static_cast<size_t>(std::ranges::count(text, ' '));
}

void use_unigram(TokenizerBuilder& builder, const SentencePieceModel& how) {
  const Vocabulary& vocabulary = builder.vocabulary();
  Unigram::Options options;
  options.scores.assign(how.scores.begin(), how.scores.end());
  options.scores.resize(static_cast<size_t>(vocabulary.size()));
  float lowest = std::numeric_limits<float>::max(), highest = std::numeric_limits<float>::min();
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const TokenKind kind = vocabulary.kind(id);
    const std::string_view text = vocabulary.piece(id);
    if (kind == TokenKind::normal) {
      const auto score = static_cast<float>(options.scores[static_cast<size_t>(id)]);
      lowest = std::min(lowest, score), highest = std::max(highest, score);
    }
    const bool findable = kind == TokenKind::normal || kind == TokenKind::user_defined;
    if (findable && !text.empty() && vocabulary.find(text) == id) options.tokens.emplace_back(text, id);
  }
  for (const auto& [text, id] : options.tokens)  // chosen before all others
    if (vocabulary.kind(id) == TokenKind::user_defined)
      options.scores[static_cast<size_t>(id)] = static_cast<float>(marked_length(text)) * highest - 0.1;
  options.unknown_score = lowest - static_cast<float>(Unigram::kUnknownPenalty);
  options.unknown_id = how.unknown_id;
  options.single_precision = true;
  options.byte_fallback = how.byte_fallback;
  options.byte_ids = byte_ids(vocabulary);
  builder.set_model(std::make_unique<Unigram>(std::move(options)));
}

void use_characters(TokenizerBuilder& builder, const SentencePieceModel& how) {
  AffixBpe::Options options;  // which never merges
  options.fuse_unknown = how.fuse_unknown;
  options.byte_fallback = how.byte_fallback;
  options.byte_ids = byte_ids(builder.vocabulary());
  options.unknown_id = how.unknown_id;
  builder.set_model(std::make_unique<AffixBpe>(std::move(options)));
}

}  // namespace

void set_marked_token(TokenizerBuilder& builder, int32_t id, std::string_view text, TokenKind kind) {
  if (kind != TokenKind::byte) return builder.vocabulary().set(id, unmarked(text), kind);
  const auto byte = byte_token(text);
  if (!byte) fail(ErrorCode::bad_model, "[tokenizer] token {} has the byte type but is spelled '{}'", id, text);
  builder.vocabulary().set(id, std::string(1, static_cast<char>(*byte)), kind);
}

void set_bpe_bytes(TokenizerBuilder& builder) {
  const std::array<int32_t, 256> bytes = byte_ids(builder.vocabulary());
  for (size_t b = 0; b < bytes.size(); ++b)
    if (bytes[b] >= 0) builder.bpe().set_byte(static_cast<uint8_t>(b), bytes[b]);
}

// Ordinary tokens first: where two share their bytes, the model has to find those.
void index_tokens(TokenizerBuilder& builder) {
  Vocabulary& vocabulary = builder.vocabulary();
  for (const bool normal : {true, false})
    for (int32_t i = 0; i < vocabulary.size(); ++i) {
      const TokenKind kind = vocabulary.kind(i);
      const bool indexed = kind != TokenKind::control && kind != TokenKind::unused && kind != TokenKind::byte;
      if (indexed && (kind == TokenKind::normal) == normal) vocabulary.index(i);
    }
}

void use_sentencepiece(TokenizerBuilder& builder, SentencePieceModel how) {
  for (float& score : how.scores)
    if (!(score == score)) score = -1e30f;
  switch (how.kind) {
    case SentencePieceModel::Kind::bpe:
      use_bpe(builder, how);
      break;
    case SentencePieceModel::Kind::unigram:
      use_unigram(builder, how);
      break;
    case SentencePieceModel::Kind::characters:
      use_characters(builder, how);
      break;
    case SentencePieceModel::Kind::words:
      builder.set_model(std::make_unique<SpacedWords>(how.unknown_id));
      break;
  }
  use_sentencepiece_text(builder, std::move(how.text));
}

}  // namespace tenon
