// The reference backend: plain loops over float32 with float64 sums, one thread. It is the meaning of every op and the
// oracle of the other backends' tests. It runs graphs as described, and the host's fused ops too.
#pragma once

#include "backend/backend.hpp"

namespace tenon {

std::unique_ptr<Backend> make_reference_backend();

}  // namespace tenon
