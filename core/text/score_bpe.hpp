// SentencePiece's BPE: any two neighbours whose text is a token merge, the highest score first. GGUF arrays and
// tokenizer.model files hold the same thing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_build.hpp"

namespace tenon {

/// SentencePiece writes a space as U+2581; tokens are kept by their real bytes here.
std::string unmarked(std::string_view text);

/// Sets an ordinary, unused or byte token by the text that the file has for it. Error{bad_model} for a byte token that
/// is spelled as none.
void set_marked_token(TokenizerBuilder& builder, int32_t id, std::string_view text, TokenKind kind);

/// Lets the tokens that merging may find be found.
void index_tokens(TokenizerBuilder& builder);

struct ScoreBpe {
  std::vector<float> scores;  // by id
  int32_t unknown_id = -1;
  bool byte_fallback = true;
  bool fuse_unknown = false;              // neighbouring unknown characters are one token
  bool add_prefix = true;                 // a space before the text
  bool remove_extra_whitespaces = false;  // none at its ends, single ones within
};
void use_score_bpe(TokenizerBuilder& builder, ScoreBpe how);

}  // namespace tenon
