// SentencePiece's models over tokens that a reader of tokenizer.model or GGUF arrays has set: score BPE, unigram,
// characters, words. Tokens keep their real bytes, with spaces where SentencePiece writes U+2581.
#pragma once

#include <string_view>
#include <vector>

#include "text/sentencepiece_text.hpp"

namespace tenon {

/// Sets an ordinary, unused or byte token by the text that the file has for it. Error{bad_model} for a byte token that
/// is spelled as none.
void set_marked_token(TokenizerBuilder& builder, int32_t id, std::string_view text, TokenKind kind);

/// Tells the builder's Bpe of its byte tokens.
void set_bpe_bytes(TokenizerBuilder& builder);

/// Lets the tokens that a model may find be found.
void index_tokens(TokenizerBuilder& builder);

struct SentencePieceModel {
  enum class Kind { unigram = 1, bpe, words, characters };  // as the format numbers them
  Kind kind = Kind::bpe;
  std::vector<float> scores;  // by id
  int32_t unknown_id = -1;
  bool byte_fallback = true;
  bool fuse_unknown = false;  // neighbouring unknown characters are one token
  SentencePieceText text;
};
/// Sets the model and the normalisation.
void use_sentencepiece(TokenizerBuilder& builder, SentencePieceModel how);

}  // namespace tenon
