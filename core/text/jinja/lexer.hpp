// Template text to tokens: data, block and variable delimiters with their white-space rules, and the words inside them.
// trim_blocks and lstrip_blocks are on, the last newline is dropped, \r\n reads as \n: the settings chat templates are
// written for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tenon::jinja {

enum class TokenType {
  data,
  variable_begin,
  variable_end,
  block_begin,
  block_end,
  name,
  string,
  integer,
  real,
  op,
  end
};

struct Token {
  TokenType type = TokenType::end;
  std::string text;  // of a string: its value
  int line = 1;
};

/// Throws Fault with the line on unclosed delimiters and unknown characters.
std::vector<Token> tokenize(std::string_view source);

}  // namespace tenon::jinja
