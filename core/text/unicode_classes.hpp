// Classes of characters as Hugging Face's tokenizers has them, whose tables are of older versions of Unicode.
#pragma once

#include <cstdint>
#include <string>

namespace tenon {

enum class UnicodeClass { punctuation, mark, nonspacing, control };

bool in_class(int32_t code, UnicodeClass which);

/// A regular expression for a character of UnicodeClass::punctuation.
std::string punctuation_expression();

}  // namespace tenon
