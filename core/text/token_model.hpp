// What turns one word into token ids: the step between pre-tokenizer and post-processor.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/vocabulary.hpp"

namespace tenon {

class TokenModel {
 public:
  virtual ~TokenModel() = default;
  /// Appends the ids of one word. Thread-safe. `vocabulary`: the one that the model was built for.
  virtual void encode(const Vocabulary& vocabulary, std::string_view word, std::vector<int32_t>& out) const = 0;
};

}  // namespace tenon
