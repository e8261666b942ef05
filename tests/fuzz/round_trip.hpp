// What holds for every tokenizer: ids inside the vocabulary, a stream that adds up to the decoded text.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "text/tokenizer_build.hpp"

namespace tenon::fuzz {

inline void round_trip(const std::shared_ptr<const Tokenizer>& tokenizer, std::string_view text) {
  const std::vector<int32_t> ids = tokenizer->encode(text, {true, true});
  StreamDecoder stream(tokenizer);
  std::string streamed;
  for (const int32_t id : ids) {
    if (id < 0 || id >= tokenizer->size()) std::abort();
    streamed += stream.feed(id);
  }
  if (streamed + stream.flush() != tokenizer->decode(ids)) std::abort();
}

}  // namespace tenon::fuzz
