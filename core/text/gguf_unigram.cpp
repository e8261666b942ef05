// tokenizer.ggml.model "t5": SentencePiece's unigram model with its normalisation.
#include <algorithm>

#include "base/error.hpp"
#include "text/gguf_kinds.hpp"
#include "text/sentencepiece_models.hpp"

namespace tenon {

namespace {

constexpr const char* kCharsmap = "tokenizer.ggml.precompiled_charsmap";

// Null when the file has none.
std::shared_ptr<const Charsmap> charsmap_of(const Checkpoint& checkpoint) {
  const Value* bytes = checkpoint.meta(kCharsmap);
  if (!bytes) return nullptr;
  if (!bytes->is_array()) fail(ErrorCode::bad_model, "[tokenizer] {} is no array", kCharsmap);
  if (bytes->as_array().empty()) return nullptr;
  std::string blob;
  blob.reserve(bytes->as_array().size());
  for (const Value& byte : bytes->as_array()) {
    if (!byte.is_int() || byte.as_int() < -128 || byte.as_int() > 255)
      fail(ErrorCode::bad_model, "[tokenizer] {} has an entry that is no byte", kCharsmap);
    blob += static_cast<char>(byte.as_int());
  }
  return std::make_shared<const Charsmap>(blob, kCharsmap);
}

}  // namespace

void use_gguf_unigram(TokenizerBuilder& builder, const Checkpoint& checkpoint, std::vector<float> scores) {
  const Vocabulary& vocabulary = builder.vocabulary();
  SentencePieceModel how;
  how.kind = SentencePieceModel::Kind::unigram;
  how.scores = std::move(scores);
  how.unknown_id = gguf_id(checkpoint, "tokenizer.ggml.unknown_token_id", vocabulary.size());
  for (int32_t id = 0; id < vocabulary.size() && how.unknown_id < 0; ++id)
    if (vocabulary.kind(id) == TokenKind::unknown) how.unknown_id = id;
  how.fuse_unknown = true;
  how.text.charsmap = charsmap_of(checkpoint);
  how.text.remove_extra_whitespaces = gguf_flag(checkpoint, "tokenizer.ggml.remove_extra_whitespaces", true);
  using Space = SentencePieceText::Space;
  const bool behind = gguf_flag(checkpoint, "tokenizer.ggml.treat_whitespace_as_suffix", false);
  how.text.space = !gguf_flag(checkpoint, "tokenizer.ggml.add_space_prefix", true) ? Space::none
                   : behind                                                        ? Space::behind
                                                                                   : Space::before;
  if (!gguf_flag(checkpoint, "tokenizer.ggml.escape_whitespaces", true))
    fail(ErrorCode::unsupported, "[tokenizer] tokenizer.ggml.escape_whitespaces is false");
  use_sentencepiece(builder, std::move(how));
}

}  // namespace tenon
