// Parts of tokenizer.json: the "model" member, which is a vocabulary and what cuts words into its tokens, and the
// "post_processor".
#pragma once

#include <string>
#include <string_view>

#include "text/tokenizer_build.hpp"

namespace tenon {

class JsonModel {
 public:
  enum class Kind { bpe, unigram, word_piece, word_level };
  /// How the builder's vocabulary keeps the tokens: by the bytes that a byte-level alphabet spells, or as they are.
  enum class Alphabet { bytes, text };

  /// Error{unsupported} names a kind that is not known.
  explicit JsonModel(const Value& model);
  Kind kind() const { return kind_; }
  /// True when the model can work on the bytes themselves: all of them are tokens, and words are spelled in nothing
  /// else.
  bool spells_all_bytes() const;
  /// One more than the highest id.
  size_t size() const;
  /// Sets the tokens, for which there is room, and the model.
  void fill(TokenizerBuilder& builder, Alphabet alphabet) const;

 private:
  std::string affix(const char* key) const;
  const Value* unknown_token() const;
  int32_t unknown_id() const;
  void set_tokens(TokenizerBuilder& builder, Alphabet alphabet) const;
  void fill_bpe(TokenizerBuilder& builder, Alphabet alphabet) const;
  void fill_affix_bpe(TokenizerBuilder& builder) const;
  void fill_unigram(TokenizerBuilder& builder) const;
  void fill_word_piece(TokenizerBuilder& builder) const;
  bool needs_affixes(const TokenizerBuilder& builder) const;
  /// Calls merge(left, right, merged) with ids for each in order.
  template <typename Merge>
  void each_merge(const TokenizerBuilder& builder, Alphabet alphabet, Merge merge) const;

  const Value& model_;
  const Value& vocab_;
  Kind kind_;
};

/// An id of the file. Error{bad_model} naming `what` for none below 2^22.
int32_t json_id(const Value& v, const char* what);

/// The "post_processor" member: fills the builder's prefix and suffix.
void read_post_processor(TokenizerBuilder& builder, const Value& json);

}  // namespace tenon
