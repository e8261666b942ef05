// The CPU backend behind the backend interface.
#pragma once

#include <memory>

#include "backend/backend.hpp"

namespace tenon {

/// `threads` as of ThreadPool: 0 takes the processors that this process may use.
std::unique_ptr<Backend> make_cpu_backend(int threads);

}  // namespace tenon
