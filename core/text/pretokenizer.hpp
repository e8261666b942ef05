// What happens to text before the model sees it: normalizers rewrite it, pre-tokenizers cut it into words.
// Built from tokenizer.json's own descriptions, or from a GGUF `pre` name (table pre_names.def).
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.hpp"
#include "text/pattern.hpp"

namespace tenon {

class Normalizer {
 public:
  Normalizer() = default;
  /// The "normalizer" member of tokenizer.json, null included. Error{unsupported} names a type that is not known.
  static Normalizer from_json(const Value& json);
  void add(std::function<std::string(std::string_view)> step) { steps_.push_back(std::move(step)); }
  bool empty() const { return steps_.empty(); }
  std::string operator()(std::string_view text) const;

 private:
  void append(const Value& json, int depth);
  std::vector<std::function<std::string(std::string_view)>> steps_;
};

class PreTokenizer {
 public:
  struct Words {
    std::vector<std::string_view> pieces;
    std::deque<std::string> owned;  // text that a step rewrote
  };
  enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

  PreTokenizer() = default;
  /// The "pre_tokenizer" member of tokenizer.json, null included.
  static PreTokenizer from_json(const Value& json);
  /// A GGUF tokenizer.ggml.pre name; Error{unsupported} naming it when the table does not have it.
  static PreTokenizer from_pre_name(std::string_view name);

  void add_split(Pattern pattern, Behavior behavior, bool invert = false);
  /// Cuts `text` into words; the views point into it or into words.owned. `at_start`: the text is the beginning of what
  /// is encoded.
  void operator()(std::string_view text, Words& words, bool at_start = true) const;
  /// True when the words are to be spelled in bytes (a ByteLevel step was among them).
  bool byte_level() const { return byte_level_; }

 private:
  struct Step {
    std::optional<Pattern> pattern;  // a split; otherwise a rewrite
    Behavior behavior = Behavior::isolated;
    bool invert = false;
    std::function<void(bool first, std::string_view piece, Words& out)> rewrite;
  };
  void append(const Value& json, int depth);
  void append_byte_level(const Value& json);
  void append_metaspace(const Value& json);
  static void split(const Step& step, std::string_view piece, std::vector<std::string_view>& out);
  std::vector<Step> steps_;
  bool byte_level_ = false;
};

/// What a `pre` name says beyond its patterns.
struct PreTraits {
  bool ignore_merges = false;
  bool add_bos = false;
};
/// Error{unsupported} as from_pre_name.
PreTraits pre_traits(std::string_view name);

}  // namespace tenon
