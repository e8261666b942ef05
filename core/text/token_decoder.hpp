// From a model's tokens back to text, by the steps of tokenizer.json's "decoder". A step sees one token after another
// and holds back only what a later one can still change, so that a stream and a list of tokens decode the same way.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.hpp"
#include "text/pattern.hpp"

namespace tenon {

class DecoderStep {
 public:
  /// A token, or a part of one: what fuses tokens hands on one long token in parts.
  struct Part {
    std::string text;
    bool begins = true, ends = true;
  };
  using Parts = std::vector<Part>;

  virtual ~DecoderStep() = default;
  virtual void feed(Part part, Parts& out) = 0;
  virtual void finish(Parts&) {}
};

class TokenDecoder {
 public:
  using Maker = std::function<std::unique_ptr<DecoderStep>()>;

  /// The "decoder" member of tokenizer.json; null joins the tokens with spaces. Error{unsupported} names a type that is
  /// not known.
  static TokenDecoder from_json(const Value& json);
  /// Error{bad_model} above 64 steps.
  void add(Maker maker);
  /// True when tokens are their own text.
  bool empty() const { return makers_.empty(); }

  /// The decoding of one list of tokens.
  class Run {
   public:
    explicit Run(const TokenDecoder& decoder);
    /// The text that is certain after this token.
    std::string feed(std::string_view token);
    /// What was held back.
    std::string finish();

   private:
    std::string pass(size_t first, DecoderStep::Parts parts);
    std::vector<std::unique_ptr<DecoderStep>> steps_;
  };

 private:
  void append(const Value& json, int depth);
  std::vector<Maker> makers_;
};

namespace decoder_steps {
TokenDecoder::Maker byte_level();
TokenDecoder::Maker byte_fallback();
TokenDecoder::Maker fuse();
TokenDecoder::Maker replace(std::string text, std::string content);
TokenDecoder::Maker replace(Pattern pattern, std::string content);
/// Up to `start` and `stop` times the character `content` from the ends of each token.
TokenDecoder::Maker strip(std::string content, size_t start, size_t stop);
/// `drop_first`: the marks of the first token are no spaces.
TokenDecoder::Maker metaspace(std::string mark, bool drop_first);
TokenDecoder::Maker word_piece(std::string prefix, bool cleanup);
/// Words end with `suffix`.
TokenDecoder::Maker word_suffix(std::string suffix);
TokenDecoder::Maker join(std::string separator);
}  // namespace decoder_steps

}  // namespace tenon
