// Passes of pre-tokenizers that cut digits into threes counted from the right, which a pattern would have to look ahead
// for at every digit. One walk over the text each.
#pragma once

#include <string_view>
#include <vector>

namespace tenon {

enum class DigitGroups {
  isolated,  // runs of numbers: cut at both ends and into threes
  bounded,   // runs of decimal digits that end at the end of a word: as isolated
  before,    // runs of decimal digits: a cut before each three
};

void split_digits(std::string_view text, DigitGroups how, std::vector<std::string_view>& out);

}  // namespace tenon
