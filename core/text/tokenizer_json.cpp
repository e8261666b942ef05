// A tokenizer from tokenizer.json (Hugging Face tokenizers' own serialisation), with tokenizer_config.json beside it.
// The members "truncation" and "padding" are about batches of texts: they are left alone on purpose.
#include <algorithm>

#include "base/error.hpp"
#include "text/json_fields.hpp"
#include "text/json_models.hpp"
#include "text/text_replace.hpp"

namespace tenon {

namespace {

constexpr const char* kPlace = "tokenizer.json";
constexpr const char* kMark = "\xe2\x96\x81";
const Value kNull;

// The decoder of SentencePiece's vocabularies, whose tokens mean the same wherever they stand.
struct MarkedDecoder {
  bool bytes = false, strips_first_space = false;
};

bool is_string(const Value* v, std::string_view text) { return v && v->is_string() && v->as_string() == text; }

bool replaces_marks(const Value& step) {
  const Value* pattern = step.find("pattern");
  return is_string(step.find("type"), "Replace") && pattern && is_string(pattern->find("String"), kMark) &&
         is_string(step.find("content"), " ");
}

bool strips_first_space(const Value& step) {
  const Value *start = step.find("start"), *stop = step.find("stop");
  return is_string(step.find("type"), "Strip") && is_string(step.find("content"), " ") && start && start->is_int() &&
         start->as_int() == 1 && stop && stop->is_int() && stop->as_int() == 0;
}

// Marks to spaces, perhaps byte tokens to bytes, one text of all, perhaps without its first space.
std::optional<MarkedDecoder> marked_decoder(const Value& decoder) {
  const Value* steps = is_string(decoder.find("type"), "Sequence") ? decoder.find("decoders") : nullptr;
  if (!steps || !steps->is_array()) return std::nullopt;
  MarkedDecoder out;
  bool marks = false, fused = false;
  for (const Value& step : steps->as_array()) {
    const Value* type = step.find("type");
    if (replaces_marks(step) && !marks && !out.bytes && !fused)
      marks = true;
    else if (is_string(type, "ByteFallback") && !fused)
      out.bytes = true;
    else if (is_string(type, "Fuse"))
      fused = true;
    else if (strips_first_space(step) && fused && !out.strips_first_space)
      out.strips_first_space = true;
    else
      return std::nullopt;
  }
  return marks && fused ? std::optional(out) : std::nullopt;
}

class JsonReader {
 public:
  JsonReader(const Value& json, const Value* config, const BareOptions& options)
      : json_(json), config_(config), options_(options), model_(json_member(json, "model", kPlace)) {}

  std::shared_ptr<const Tokenizer> read() {
    b_.normalizer() = Normalizer::from_json(member("normalizer"));
    b_.pre() = PreTokenizer::from_json(member("pre_tokenizer"));
    const bool bytes = works_on_bytes();
    if (!bytes && b_.pre().byte_level())
      b_.pre() = PreTokenizer::from_json(member("pre_tokenizer"), PreTokenizer::Bytes::spelled);
    size_t size = model_.size();
    for (const Value& t : added_list())
      size = std::max<size_t>(size, static_cast<size_t>(json_id(json_member(t, "id", kPlace), "an added token")) + 1);
    b_.vocabulary().resize(size);
    b_.vocabulary().reserve_index(size);
    model_.fill(b_, bytes ? JsonModel::Alphabet::bytes : JsonModel::Alphabet::text);
    read_added();
    read_post_processor(b_, member("post_processor"));
    if (config_) apply_tokenizer_config(b_, *config_, {});
    apply_bare_options(b_, options_);
    if (!bytes) read_decoder();
    return b_.finish();
  }

 private:
  const Value& member(const char* key) const {
    const Value* v = json_.find(key);
    return v ? *v : kNull;
  }

  // Byte-level BPE needs no spelling of bytes where nothing looks at the spelling.
  bool works_on_bytes() {
    const Value& decoder = member("decoder");
    return b_.pre().byte_level_last() && (decoder.is_null() || is_string(decoder.find("type"), "ByteLevel")) &&
           model_.spells_all_bytes();
  }

  void read_decoder() {
    const Value& decoder = member("decoder");
    const auto marked = marked_decoder(decoder);
    if (!marked) return b_.set_decoder(TokenDecoder::from_json(decoder));
    if (marked->strips_first_space) b_.drop_first_space(FirstSpace::dropped);
    const Vocabulary& vocabulary = b_.vocabulary();
    for (int32_t id = 0; id < vocabulary.size(); ++id) {
      const std::string_view text = vocabulary.piece(id);
      const auto byte = marked->bytes ? byte_token(text) : std::nullopt;
      b_.set_piece(id, byte ? std::string(1, static_cast<char>(*byte)) : replace_text(text, kMark, " "));
    }
  }

  const Value::Array& added_list() const {
    static const Value::Array kNone;
    const Value* added = json_.find("added_tokens");
    return added && added->is_array() ? added->as_array() : kNone;
  }

  void read_added() {
    for (const Value& t : added_list()) {
      AddedToken token = added_token(t, json_id(json_member(t, "id", kPlace), "an added token"), kPlace);
      b_.vocabulary().set(token.id, token.content, token.special ? TokenKind::control : TokenKind::user_defined);
      const bool normalized = json_bool(t, "normalized", !token.special);
      if (normalized) token.content = b_.normalizer()(token.content);
      (normalized ? b_.added_normalized() : b_.added()).add(std::move(token));
    }
  }

  const Value& json_;
  const Value* config_;
  const BareOptions& options_;
  JsonModel model_;
  TokenizerBuilder b_;
};

}  // namespace

std::shared_ptr<const Tokenizer> tokenizer_from_json(const Value& json, const Value* config,
                                                     const BareOptions& options) {
  return JsonReader(json, config, options).read();
}

}  // namespace tenon
