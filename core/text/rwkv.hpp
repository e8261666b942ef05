// RWKV's tokenizer: of all tokens that begin at a place the longest is taken. Token 0 begins and ends texts.
#pragma once

#include <string_view>

#include "text/tokenizer_build.hpp"

namespace tenon {

/// Finds the builder's ordinary tokens greedily. Error{bad_model} naming `place` when a byte is no token.
void use_longest_match(TokenizerBuilder& builder, std::string_view place);

/// Token 0 is bos and eos; a blank line, where it is a token, ends a turn.
void name_rwkv_tokens(TokenizerBuilder& builder);

}  // namespace tenon
