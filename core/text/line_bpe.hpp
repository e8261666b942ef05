// BPE over whole lines of text as it is, spaces included: the words are lines and runs of newlines, and such a run that
// is a token is taken whole.
#pragma once

#include <memory>
#include <utility>

#include "text/token_model.hpp"

namespace tenon {

class LineBpe final : public TokenModel {
 public:
  explicit LineBpe(std::unique_ptr<const TokenModel> lines) : lines_(std::move(lines)) {}

  void encode(const Vocabulary& vocabulary, std::string_view word, std::vector<int32_t>& out) const override {
    const bool newlines = word.find_first_not_of('\n') == std::string_view::npos;
    if (const int32_t id = newlines ? vocabulary.find(word) : -1; id >= 0) return out.push_back(id);
    lines_->encode(vocabulary, word, out);
  }

 private:
  std::unique_ptr<const TokenModel> lines_;
};

}  // namespace tenon
