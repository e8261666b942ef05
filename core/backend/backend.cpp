// Chooses a backend by name.
#include "backend/backend.hpp"

#include "backend/reference/reference.hpp"
#include "base/error.hpp"

#ifdef TENON_CPU_BACKEND
#include "backend/cpu/cpu.hpp"
#endif

namespace tenon {

std::unique_ptr<Backend> make_backend(std::string_view name, [[maybe_unused]] int threads) {
#ifdef TENON_CPU_BACKEND
  if (name == "cpu" || name == "auto") return make_cpu_backend(threads);
#else
  if (name == "auto") return make_reference_backend();
#endif
  if (name == "reference") return make_reference_backend();
  fail(ErrorCode::usage, "[backend] \"{}\" is not known; known: auto cpu reference", name);
}

}  // namespace tenon
