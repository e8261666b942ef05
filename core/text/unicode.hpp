// UTF-8 and character classes for tokenizers and templates: decoding that survives any bytes, categories, normal forms.
// Categories and normal forms come from utf8proc; invalid bytes pass through unchanged everywhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tenon::unicode {

struct Decoded {
  int32_t code = -1;  // -1: the bytes at this place are no UTF-8 (length is then 1)
  uint32_t length = 0;
};

/// Decodes the code point at `text[at]`; `at` must be inside. Surrogates, overlong forms and values past 10FFFF are
/// invalid.
Decoded decode(std::string_view text, size_t at);

/// The bytes a lead byte announces (1 to 4), 0 when it cannot start a sequence.
int sequence_length(unsigned char lead);

void append(std::string& out, int32_t code);

/// The end of the longest valid UTF-8 run that starts at `at` (equal to `at` when the first byte is invalid).
size_t valid_end(std::string_view text, size_t at);

/// How many trailing bytes are the beginning of a sequence that more bytes could still complete (0 to 3).
size_t incomplete_tail(std::string_view text);

/// Code points, each invalid byte counted as one.
size_t length(std::string_view text);

bool is_space(int32_t code);    // Unicode White_Space
bool is_letter(int32_t code);   // L*
bool is_number(int32_t code);   // N*
bool is_decimal(int32_t code);  // Nd
bool is_mark(int32_t code);     // M*
bool is_upper(int32_t code);
bool is_lower(int32_t code);
bool is_word(int32_t code);  // letters, numbers, marks, underscore

std::string to_lower(std::string_view text);
std::string to_upper(std::string_view text);

enum class Form { nfc, nfd, nfkc, nfkd };
std::string normalize(std::string_view text, Form form);

}  // namespace tenon::unicode
