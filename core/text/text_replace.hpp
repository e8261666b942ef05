// Replacing in text, as normalizers and decoders do.
#pragma once

#include <string>
#include <string_view>

#include "text/pattern.hpp"

namespace tenon {

/// Every match of the pattern becomes `content`. Error{capacity} above 1 GiB.
std::string replace_all(const Pattern& pattern, std::string_view content, std::string_view text);

/// Every `from`, unless it is empty, becomes `to`.
std::string replace_text(std::string_view text, std::string_view from, std::string_view to);

}  // namespace tenon
