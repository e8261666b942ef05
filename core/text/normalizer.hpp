// What happens to text before it is cut into words: steps that rewrite it one after another.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.hpp"

namespace tenon {

class Normalizer {
 public:
  using Rewrite = std::function<std::string(std::string_view)>;
  /// Clears `at_start` when what it returns no longer begins with what came first in the text.
  using Step = std::function<std::string(std::string_view, bool& at_start)>;

  Normalizer() = default;
  /// The "normalizer" member of tokenizer.json, null included. Error{unsupported} names a type that is not known.
  static Normalizer from_json(const Value& json);
  /// Error{bad_model} above 64 steps.
  void add(Rewrite rewrite) {
    add_step([rewrite = std::move(rewrite)](std::string_view text, bool&) { return rewrite(text); });
  }
  void add_step(Step step);
  bool empty() const { return steps_.empty(); }
  std::string operator()(std::string_view text) const;
  std::string operator()(std::string_view text, bool& at_start) const;

 private:
  void append(const Value& json, int depth);
  void append_bert(const Value& json);
  std::vector<Step> steps_;
};

}  // namespace tenon
