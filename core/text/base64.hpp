// Base64 with padding (RFC 4648, section 4), as vocabulary files spell their tokens.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tenon {

/// Nothing for text that is no base64: another character, a length that is no multiple of 4, padding in the middle.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace tenon
