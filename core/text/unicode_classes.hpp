// Classes of characters as Hugging Face's tokenizers has them, whose tables are of other versions of Unicode.
#pragma once

#include <cstdint>
#include <string>

namespace tenon {

enum class UnicodeClass { punctuation, mark, nonspacing, control, number, word };

/// Of the first four classes.
bool in_class(int32_t code, UnicodeClass which);

/// Regular expressions for a character of a class.
std::string punctuation_expression();
std::string number_expression();
/// For runs of word characters and of what is neither one nor white space.
std::string words_expression();

}  // namespace tenon
