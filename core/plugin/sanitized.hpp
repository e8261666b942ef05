// Whether this host runs under a sanitizer: its runtime then comes along with plugins and reserves address space.
#pragma once

namespace tenon {

#ifdef TENON_SANITIZED
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace tenon
