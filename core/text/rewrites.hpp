// The rewritings of text that normalizers are made of. Bytes that are no UTF-8 pass unchanged.
#pragma once

#include <string>
#include <string_view>

namespace tenon::rewrites {

// `at_start` is cleared where the first character is taken away.
std::string clean_text(std::string_view text, bool& at_start);  // no controls, spaces for white space
std::string without_nonspacing_marks(std::string_view text, bool& at_start);
std::string without_marks(std::string_view text, bool& at_start);
std::string nmt(std::string_view text, bool& at_start);  // the rules of the format's Nmt
std::string strip(std::string_view text, bool left, bool right, bool& at_start);

std::string isolate_ideographs(std::string_view text);  // spaces around each
std::string lower(std::string_view text);               // character by character, without context
std::string spell(std::string_view text);               // bytes in GPT-2's alphabet

}  // namespace tenon::rewrites
