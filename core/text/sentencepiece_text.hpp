// SentencePiece's normalisation (Kudo and Richardson 2018): a character map, white space put in order, a space before
// or behind the text. Spaces stay spaces, where SentencePiece writes U+2581.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/charsmap.hpp"
#include "text/tokenizer_build.hpp"

namespace tenon {

struct SentencePieceText {
  enum class Space { none, before, behind };
  std::shared_ptr<const Charsmap> charsmap;  // may be none
  std::vector<std::string> untouched;        // what the map leaves alone: user-defined tokens
  Space space = Space::before;
  bool remove_extra_whitespaces = false;  // none at the text's ends, single ones within
};

/// SentencePiece writes a space as U+2581; tokens are kept by their real bytes here.
std::string unmarked(std::string_view text);

/// Adds the normalisation, and has decoding take back the space that it put before the text.
void use_sentencepiece_text(TokenizerBuilder& builder, SentencePieceText how);

}  // namespace tenon
