// Shared by the readers of tokenizer.json, tokenizer.model and GGUF arrays: the tokenizer under construction.
#pragma once

#include "text/bpe.hpp"
#include "text/normalizer.hpp"
#include "text/pretokenizer.hpp"
#include "text/token_model.hpp"
#include "text/tokenizer.hpp"

namespace tenon {

class WordCache;

/// Added tokens, normalizer, added tokens found in normalized text, pre-tokenizer, model and post-processor in a row.
class PipelineTokenizer final : public Tokenizer {
 public:
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const override;

 private:
  friend class TokenizerBuilder;
  void encode_plain(std::string_view text, bool at_start, bool parse_special, WordCache& cache,
                    std::vector<int32_t>& out) const;
  Normalizer normalizer_;
  PreTokenizer pre_;
  std::unique_ptr<const TokenModel> model_;
};

/// Access to the parts while a reader fills them; finish() derives what follows from them.
class TokenizerBuilder {
 public:
  Vocabulary& vocabulary() { return t_->vocabulary_; }
  const Vocabulary& vocabulary() const { return t_->vocabulary_; }
  AddedTokens& added() { return t_->added_; }
  AddedTokens& added_normalized() { return t_->added_normalized_; }
  Normalizer& normalizer() { return t_->normalizer_; }
  PreTokenizer& pre() { return t_->pre_; }
  /// The model as a Bpe, made by the first call.
  Bpe& bpe();
  void set_model(std::unique_ptr<const TokenModel> model) { t_->model_ = std::move(model); }
  /// Puts the model inside another: `wrap` takes it and returns that.
  template <typename Wrap>
  void wrap_model(const Wrap& wrap) {
    bpe_ = nullptr;
    t_->model_ = wrap(std::move(t_->model_));
  }
  /// What a token means, where that is not its text in the vocabulary; all or none of them are set.
  void set_piece(int32_t id, std::string_view bytes);
  /// The same for a single one, when all tokens are there.
  void change_piece(int32_t id, std::string_view bytes);
  /// Without one, tokens in a row are the text.
  void set_decoder(TokenDecoder decoder) { t_->decoder_ = std::move(decoder); }
  std::vector<int32_t>& prefix() { return t_->prefix_; }
  std::vector<int32_t>& suffix() { return t_->suffix_; }
  /// Whether the encoding's own space is dropped: of the first token, or of the first that is no control token.
  void drop_first_space(FirstSpace which) { t_->first_space_ = which; }
  /// As Tokenizer::token_to_id; -1 for no token.
  int32_t find(std::string_view text) const { return t_->token_to_id(text).value_or(-1); }

  /// Registers a named special token ("bos_token"); ids outside the vocabulary are ignored.
  void name_token(const std::string& name, int32_t id);
  void set_bos(int32_t id);
  void set_eos(int32_t id);
  void add_stop(int32_t id);

  std::shared_ptr<const Tokenizer> finish();

 private:
  void derive_pieces();
  std::shared_ptr<PipelineTokenizer> t_ = std::make_shared<PipelineTokenizer>();
  Bpe* bpe_ = nullptr;  // the model, when it is one
};

/// Ids that the file itself gives to the two; -1 for none.
struct NamedIds {
  int32_t bos = -1, eos = -1;
};
/// tokenizer_config.json's named special tokens and its add_bos_token and add_eos_token.
void apply_tokenizer_config(TokenizerBuilder& builder, const Value& config, NamedIds ids);
/// tokenizer_config.json's added_tokens_decoder.
std::vector<AddedToken> added_tokens_decoder(const Value& config);
/// An entry of it or of tokenizer.json's added_tokens.
AddedToken added_token(const Value& entry, int32_t id, const char* place);

std::shared_ptr<const Tokenizer> tokenizer_from_gguf(const Checkpoint& checkpoint);
/// `config`: tokenizer_config.json, nullptr when there is none.
std::shared_ptr<const Tokenizer> tokenizer_from_json(const Value& json, const Value* config,
                                                     const BareOptions& options = {});
/// `bytes`: a SentencePiece model (tokenizer.model), named `place` in errors. Error{unsupported} for one that is no
/// BPE.
std::shared_ptr<const Tokenizer> tokenizer_from_sentencepiece(std::string_view bytes, std::string_view place,
                                                              const Value* config, const BareOptions& options = {});
/// True for a tiktoken file: lines of a base64 token and its rank.
bool is_rank_file(std::string_view bytes);
/// `bytes`: a tiktoken file, named `place` in errors. Error{usage} without options.pre.
std::shared_ptr<const Tokenizer> tokenizer_from_ranks(std::string_view bytes, std::string_view place,
                                                      const BareOptions& options);
/// The tiktoken.model of a checkpoint, whose tokenizer_config.json names a class of table tiktoken_classes.def.
std::shared_ptr<const Tokenizer> tokenizer_from_ranks(std::string_view bytes, std::string_view place,
                                                      const Value* config, const BareOptions& options);
/// True for a tekken.json.
bool is_tekken(const Value& json);
std::shared_ptr<const Tokenizer> tokenizer_from_tekken(const Value& json, std::string_view place, const Value* config,
                                                       const BareOptions& options);
/// True for an rwkv_vocab_*.txt: lines of an id, a Python literal and its length.
bool is_rwkv_file(std::string_view bytes);
std::shared_ptr<const Tokenizer> tokenizer_from_rwkv(std::string_view bytes, std::string_view place,
                                                     const Value* config, const BareOptions& options);
/// `vocab`: vocab.json, `merges`: the text of merges.txt beside it. Error{unsupported} when the tokenizer class is none
/// of table bpe_classes.def.
std::shared_ptr<const Tokenizer> tokenizer_from_merges(const Value& vocab, std::string_view merges, const Value* config,
                                                       const BareOptions& options);
/// Further special tokens and normalisation; to be called before finish().
void apply_bare_options(TokenizerBuilder& builder, const BareOptions& options);

}  // namespace tenon
