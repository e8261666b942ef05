// Shared by the readers of tokenizer.json and of GGUF arrays: the tokenizer under construction.
#pragma once

#include "text/tokenizer.hpp"

namespace tenon {

/// Added tokens, normalizer, pre-tokenizer and BPE in a row.
class BpeTokenizer final : public Tokenizer {
 public:
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const override;

 private:
  friend class TokenizerBuilder;
  void encode_plain(std::string_view text, bool parse_special, std::vector<int32_t>& out) const;
  Normalizer normalizer_;
  PreTokenizer pre_;
  Bpe bpe_;
};

/// Access to the parts while a reader fills them; finish() derives what follows from them.
class TokenizerBuilder {
 public:
  Vocabulary& vocabulary() { return t_->vocabulary_; }
  AddedTokens& added() { return t_->added_; }
  AddedTokens& added_normalized() { return t_->added_normalized_; }
  Normalizer& normalizer() { return t_->normalizer_; }
  PreTokenizer& pre() { return t_->pre_; }
  Bpe& bpe() { return t_->bpe_; }
  std::vector<int32_t>& prefix() { return t_->prefix_; }
  std::vector<int32_t>& suffix() { return t_->suffix_; }
  void strip_first_space(bool on) { t_->strip_first_space_ = on; }

  /// Registers a named special token ("bos_token"); ids outside the vocabulary are ignored.
  void name_token(const std::string& name, int32_t id);
  void set_bos(int32_t id);
  void set_eos(int32_t id);
  void add_stop(int32_t id);

  std::shared_ptr<const Tokenizer> finish();

 private:
  std::shared_ptr<BpeTokenizer> t_ = std::make_shared<BpeTokenizer>();
};

std::shared_ptr<const Tokenizer> tokenizer_from_gguf(const Checkpoint& checkpoint);
/// `config`: tokenizer_config.json, nullptr when there is none.
std::shared_ptr<const Tokenizer> tokenizer_from_json(const Value& json, const Value* config);

}  // namespace tenon
