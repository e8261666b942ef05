// The one exception type of the host. Messages follow "[place] fact one ... fact two", without advice.
// Thrown at load time and at request entry, never per token.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace tenon {

enum class ErrorCode {
  usage,        // a flag or an argument is wrong: exit status 2
  not_found,    // a file, a model or a plugin is not there
  bad_model,    // a checkpoint, config or tokenizer file breaks its format's rules
  bad_plugin,   // a plugin file, its note or what it declared is refused
  unsupported,  // well-formed, but nothing here can run it
  capacity,     // context, memory or a declared limit is used up
  io,           // the operating system refused
  cancelled,
  internal,  // our own bug
};

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

/// Throws Error{code, fmt::format(...)}.
template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace tenon
