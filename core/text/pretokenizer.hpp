// Cuts normalized text into the words that the model sees.
// Built from tokenizer.json's own descriptions, or from a GGUF `pre` name (table pre_names.def).
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.hpp"
#include "text/digit_groups.hpp"
#include "text/pattern.hpp"

namespace tenon {

class PreTokenizer {
 public:
  struct Words {
    std::vector<std::string_view> pieces;
    std::deque<std::string> owned;  // text that a step rewrote
  };
  enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

  PreTokenizer() = default;
  /// What a ByteLevel step does to its words: nothing, for a model of bytes, or spell them as the format does.
  enum class Bytes { kept, spelled };
  /// The "pre_tokenizer" member of tokenizer.json, null included.
  static PreTokenizer from_json(const Value& json, Bytes bytes = Bytes::kept);
  /// A GGUF tokenizer.ggml.pre name; Error{unsupported} naming it when the table does not have it.
  static PreTokenizer from_pre_name(std::string_view name);

  void add_split(Pattern pattern, Behavior behavior, bool invert = false);
  /// Cuts `text` into words; the views point into it or into words.owned. `at_start`: the text is the beginning of what
  /// is encoded.
  void operator()(std::string_view text, Words& words, bool at_start = true) const;
  /// True when the words are to be spelled in bytes (a ByteLevel step was among them).
  bool byte_level() const { return byte_level_; }
  /// True when such a step was there and no other looked at what it had spelled.
  bool byte_level_last() const { return byte_level_ && last_byte_level_ == steps_.size(); }

 private:
  struct Step {
    std::optional<Pattern> pattern;  // a split; otherwise a rewrite
    Behavior behavior = Behavior::isolated;
    bool invert = false;
    std::function<void(bool first, std::string_view piece, Words& out)> rewrite;
  };
  void add_step(Step step);
  void append(const Value& json, int depth);
  void append_byte_level(const Value& json);
  void append_metaspace(const Value& json);
  void append_split(const Value& json, Behavior behavior);
  void append_fixed_length(const Value& json);
  void add_digit_groups(DigitGroups how);
  static void split(const Step& step, std::string_view piece, std::vector<std::string_view>& out);
  std::vector<Step> steps_;
  bool byte_level_ = false;
  Bytes bytes_ = Bytes::kept;
  size_t last_byte_level_ = 0;  // steps when the last ByteLevel had been added
};

/// What a `pre` name says beyond its patterns.
struct PreTraits {
  bool ignore_merges = false;
  bool add_bos = false;
};
/// Error{unsupported} as from_pre_name.
PreTraits pre_traits(std::string_view name);
/// Its passes, each a pattern that isolates its matches.
const std::vector<const char*>& pre_patterns(std::string_view name);

}  // namespace tenon
