// Text to token ids and back. Built from a checkpoint's own files (tokenizer.json, tekken.json, tokenizer.model,
// tiktoken.model or rwkv_vocab_*.txt beside config.json), or the arrays of a GGUF alone. Immutable and thread-safe once
// built. Text is bytes: what is no UTF-8 is encoded too, byte for byte.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "text/added_tokens.hpp"
#include "text/token_decoder.hpp"
#include "text/vocabulary.hpp"

namespace tenon {

struct EncodeOptions {
  bool add_special = true;                    // bos, eos and whatever else the file puts around a text
  bool parse_special = false;                 // control tokens spelled out in the text become their ids
  const TextSpans* special_within = nullptr;  // where given, only those that lie within one of these
};

/// What is said of a bare vocabulary file beside what it says itself.
struct BareOptions {
  std::string pre = {};                // a name of pre_names.def: for files that have no pattern
  std::filesystem::path special = {};  // JSON, token -> id: further special tokens
  bool nfc = false;                    // text is normalised to NFC first
};

/// What decoding does with a space at the beginning of a token.
enum class FirstSpace {
  kept,
  dropped,                 // of the first token
  dropped_behind_control,  // of the first token that is no control token
  dropped_until_text,      // of each such token as long as there is no text
};

class Tokenizer {
 public:
  /// Throws Error{not_found} when the checkpoint brings no vocabulary, Error{unsupported} naming a model, normalizer or
  /// pre-tokenizer that is not known, Error{bad_model} for a broken one.
  static std::shared_ptr<const Tokenizer> from_checkpoint(const Checkpoint& checkpoint);
  /// A bare tokenizer.json, tekken.json, tokenizer.model, *.tiktoken or rwkv_vocab_*.txt, told apart by what is in it,
  /// or a folder with one of them. Error{usage} naming an option that such a file has no use for.
  static std::shared_ptr<const Tokenizer> from_file(const std::filesystem::path& path, const BareOptions& options = {});

  virtual ~Tokenizer() = default;
  /// The ids of `text`, which is not begun with bos again where it begins so itself. Error{capacity} above 1 GiB.
  virtual std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const = 0;

  /// The exact bytes; `skip_special` leaves control tokens out. Ids outside the vocabulary are Error{usage}.
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;
  /// The bytes of one token amid others, empty for an id outside the vocabulary.
  std::string_view piece(int32_t id) const;
  bool is_control(int32_t id) const;
  /// True when the token is a piece of text: not control, unknown or unused.
  bool is_text(int32_t id) const;
  int32_t size() const { return vocabulary_.size(); }

  std::optional<int32_t> bos_id() const { return bos_; }
  std::optional<int32_t> eos_id() const { return eos_; }
  /// True when encode() with add_special begins with the bos token.
  bool add_bos() const;
  /// Ids that end a generation: eos, eot, eom and the well-known names of table stop_names.def. Sorted.
  const std::vector<int32_t>& stop_ids() const { return stop_; }
  /// The id of a token by its exact text: added tokens first, then the vocabulary.
  std::optional<int32_t> token_to_id(std::string_view text) const;
  /// Texts of the named special tokens ("bos_token", "eos_token", "pad_token", ...), as chat templates know them.
  const std::map<std::string, std::string>& special_tokens() const { return named_; }
  /// True when a leading space of the first decoded token belongs to the encoding, not to the text.
  bool strips_first_space() const { return first_space_ != FirstSpace::kept; }

 protected:
  friend class TokenizerBuilder;
  friend class StreamDecoder;
  /// The piece of a token at the beginning; clears `first` when those behind it are not there any more.
  std::string_view first_piece(int32_t id, bool& first) const;
  Vocabulary vocabulary_;
  Vocabulary pieces_;     // what the tokens of vocabulary_ mean, where that is not their own text
  TokenDecoder decoder_;  // empty: pieces in a row are the text
  AddedTokens added_, added_normalized_;
  std::vector<int32_t> prefix_, suffix_, stop_;
  std::optional<int32_t> bos_, eos_;
  std::map<std::string, std::string> named_;
  FirstSpace first_space_ = FirstSpace::kept;
};

/// Decodes ids one at a time into text that never ends inside a code point; the pieces add up to decode() of all ids.
class StreamDecoder {
 public:
  explicit StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special = false);
  /// The text that is complete after this id, possibly none.
  std::string feed(int32_t id);
  /// What is left at the end, complete or not.
  std::string flush();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool skip_special_, first_ = true;
  std::optional<TokenDecoder::Run> run_;
  std::string pending_;
};

}  // namespace tenon
