#include "text/rank_bpe.hpp"

#include "base/error.hpp"

namespace tenon {

void use_rank_bpe(TokenizerBuilder& builder, const RankedTokens& tokens, int32_t first_id, std::string_view place) {
  Vocabulary& vocabulary = builder.vocabulary();
  vocabulary.reserve_index(tokens.size());
  std::vector<float> scores(static_cast<size_t>(first_id) + tokens.size());
  for (size_t rank = 0; rank < tokens.size(); ++rank) {
    const int32_t id = first_id + static_cast<int32_t>(rank);
    scores[static_cast<size_t>(id)] = -static_cast<float>(id);  // exact: ids stay below 2^24
    if (tokens[rank].empty()) continue;
    if (const int32_t other = vocabulary.find(tokens[rank]); other >= 0)
      fail(ErrorCode::bad_model, "[{}] ranks {} and {} have the same token", place, other - first_id, rank);
    vocabulary.set(id, tokens[rank], TokenKind::normal);
    vocabulary.index(id);
  }
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    const int32_t id = vocabulary.find({&byte, 1});
    if (id < 0) fail(ErrorCode::bad_model, "[{}] the byte 0x{:02x} has no rank", place, b);
    builder.bpe().set_byte(static_cast<uint8_t>(b), id);
  }
  Bpe::Options options;
  options.symbols = Bpe::Symbols::bytes;
  options.ignore_merges = true;
  options.by_score = true;
  builder.bpe().configure(options);
  builder.bpe().set_scores(std::move(scores));
}

void add_special(TokenizerBuilder& builder, int32_t id, const std::string& content, TokenKind kind) {
  builder.vocabulary().set(id, content, kind);
  builder.added().add({content, id, true});
}

}  // namespace tenon
