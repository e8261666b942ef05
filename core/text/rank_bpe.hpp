// tiktoken's BPE: any two neighbours whose bytes are a token merge, the token of the lowest rank first; a word that is
// a token is taken whole. Rank files (*.tiktoken) and tekken.json hold such vocabularies.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_build.hpp"

namespace tenon {

/// tokens[i] is the token of rank i, empty where a rank is not used.
using RankedTokens = std::vector<std::string>;

/// Makes them the ids from `first_id` on. Error{bad_model} naming `place` when a byte is no token or two tokens are the
/// same. The builder's vocabulary must have room.
void use_rank_bpe(TokenizerBuilder& builder, const RankedTokens& tokens, int32_t first_id, std::string_view place);

/// A token that is found in text only where special tokens are parsed.
void add_special(TokenizerBuilder& builder, int32_t id, const std::string& content, TokenKind kind);

}  // namespace tenon
