// tokenizer.ggml.model "bert". The text is prepared as Hugging Face's tokenizers does it for these vocabularies, which
// keeps the marks of Indic and Hangul letters and gives up on words of more than a hundred characters.
#include "text/gguf_kinds.hpp"
#include "text/word_piece.hpp"

namespace tenon {

namespace {

constexpr std::string_view kMark = "\xe2\x96\x81";
constexpr const char* kInside = "##";

// Of several keys and then of a token's name the first that the file has.
int32_t first_id(const TokenizerBuilder& builder, const Checkpoint& checkpoint,
                 std::initializer_list<std::string_view> keys, std::string_view name) {
  for (const std::string_view key : keys)
    if (const int32_t id = gguf_id(checkpoint, key, builder.vocabulary().size()); id >= 0) return id;
  return builder.find(name);
}

Value text_preparation(const Checkpoint& checkpoint) {
  const bool lowercase = gguf_flag(checkpoint, "tokenizer.ggml.normalizer.lowercase", true);
  return Value(
      Value::Object{{"type", "BertNormalizer"},
                    {"lowercase", lowercase},
                    {"strip_accents", gguf_flag(checkpoint, "tokenizer.ggml.normalizer.strip_accents", lowercase)}});
}

}  // namespace

std::string word_piece_text(std::string_view text) {
  if (text.starts_with(kMark)) return std::string(text.substr(kMark.size()));
  const bool name = text.size() > 1 && text.front() == '[' && text.back() == ']';
  return name ? std::string(text) : kInside + std::string(text);
}

void use_gguf_word_piece(TokenizerBuilder& builder, const Checkpoint& checkpoint) {
  builder.normalizer() = Normalizer::from_json(text_preparation(checkpoint));
  builder.pre() = PreTokenizer::from_json(Value(Value::Object{{"type", "BertPreTokenizer"}}));
  TokenDecoder decoder;
  decoder.add(decoder_steps::word_piece(kInside, true));
  builder.set_decoder(std::move(decoder));
  WordPiece::Options options;
  const Vocabulary& vocabulary = builder.vocabulary();
  for (int32_t id = 0; id < vocabulary.size(); ++id)
    if (const std::string_view text = vocabulary.piece(id); !text.empty() && vocabulary.find(text) == id)
      options.tokens.emplace_back(text, id);
  options.continuing_prefix = kInside;
  options.unknown_id = first_id(builder, checkpoint, {"tokenizer.ggml.unknown_token_id"}, "[UNK]");
  builder.set_model(std::make_unique<WordPiece>(std::move(options)));
  const int32_t before =
      first_id(builder, checkpoint, {"tokenizer.ggml.cls_token_id", "tokenizer.ggml.bos_token_id"}, "[CLS]");
  const int32_t behind =
      first_id(builder, checkpoint, {"tokenizer.ggml.seperator_token_id", "tokenizer.ggml.eos_token_id"}, "[SEP]");
  if (before >= 0 && gguf_flag(checkpoint, "tokenizer.ggml.add_bos_token", true)) builder.prefix().push_back(before);
  if (behind >= 0 && gguf_flag(checkpoint, "tokenizer.ggml.add_sep_token", true)) builder.suffix().push_back(behind);
  builder.name_token("cls_token", before);
  builder.name_token("sep_token", behind);
}

}  // namespace tenon
