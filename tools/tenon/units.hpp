// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace tenon::tool {

/// "98.4 MB": powers of 1000, as file managers and disk makers count.
std::string human_bytes(uint64_t bytes);

}  // namespace tenon::tool
