// Calls written as Python: read as literals, never run.
#pragma once

#include <string_view>

#include "text/output/call_syntax.hpp"

namespace tenon::output {

/// [f(a=1, b="x"), g()] or the same without brackets, or one on each line.
Calls pythonic_calls(std::string_view body);
/// name.call(key="value")
Calls dotted_call(std::string_view body);

}  // namespace tenon::output
