// GGUF's tokenizer kinds that tokenizer_gguf.cpp leaves to files of their own. The builder has the tokens already.
#pragma once

#include <string>
#include <string_view>

#include "text/tokenizer_build.hpp"

namespace tenon {

/// The spelling of a WordPiece token: GGUF marks the beginnings of words with U+2581, the format everything else with
/// "##". Names in brackets have neither.
std::string word_piece_text(std::string_view text);
/// WordPiece with the normalizer, pre-tokenizer and decoder that belong to it, and the tokens around a text.
void use_gguf_word_piece(TokenizerBuilder& builder, const Checkpoint& checkpoint);

/// Unigram with its character map; `scores` by id.
void use_gguf_unigram(TokenizerBuilder& builder, const Checkpoint& checkpoint, std::vector<float> scores);

/// A flag of the metadata.
bool gguf_flag(const Checkpoint& checkpoint, std::string_view key, bool otherwise);
/// An id of the metadata that the vocabulary has, -1 otherwise.
int32_t gguf_id(const Checkpoint& checkpoint, std::string_view key, int32_t size);

}  // namespace tenon
