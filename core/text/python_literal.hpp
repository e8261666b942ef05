// Python's string and bytes literals, as vocabulary files hold them; read by hand, nothing is run.
#pragma once

#include <string>
#include <string_view>

namespace tenon {

/// The bytes of 'text', "text", b'bytes' or b"bytes" (the UTF-8 of a str). Error{bad_model} naming `place` for anything
/// else: another prefix, an unknown escape, a lone surrogate, text after the closing quote.
std::string python_literal(std::string_view literal, std::string_view place);

/// The inside of a bytes literal, as GGUF files hold RWKV's tokens.
std::string python_bytes(std::string_view inside, std::string_view place);

}  // namespace tenon
