// A tokenizer from tokenizer.json (Hugging Face tokenizers' own serialisation), with tokenizer_config.json beside it.
#include "base/error.hpp"
#include "text/json_fields.hpp"
#include "text/score_bpe.hpp"
#include "text/tokenizer_build.hpp"

namespace tenon {

namespace {

constexpr const char* kPlace = "tokenizer.json";
constexpr const char* kMark = "\xe2\x96\x81";

class JsonReader {
 public:
  JsonReader(const Value& json, const Value* config, const BareOptions& options)
      : json_(json), config_(config), options_(options) {}

  std::shared_ptr<const Tokenizer> read() {
    const Value& model = json_member(json_, "model", kPlace);
    const Value* type = model.find("type");
    const std::string name = type && type->is_string() ? type->as_string() : "BPE";
    if (name != "BPE") fail(ErrorCode::unsupported, "[tokenizer.json] model type '{}'", name);
    if (const Value* v = json_.find("normalizer")) b_.normalizer() = Normalizer::from_json(*v);
    if (const Value* v = json_.find("pre_tokenizer")) b_.pre() = PreTokenizer::from_json(*v);
    if (const Value* v = json_.find("decoder")) read_decoder(*v, 0);
    if (!b_.pre().byte_level() && !marked_)
      fail(ErrorCode::unsupported,
           "[tokenizer.json] BPE with neither the ByteLevel pre-tokenizer nor U+2581 for spaces");
    if (marked_) b_.unmark_words();
    read_vocabulary(model);
    read_merges(model);
    read_added();
    if (const Value* v = json_.find("post_processor")) read_post(*v, 0);
    if (config_) apply_tokenizer_config(b_, *config_, {});
    apply_bare_options(b_, options_);
    return b_.finish();
  }

 private:
  static int32_t id_of(const Value& v, const char* what) {
    if (!v.is_int() || v.as_int() < 0 || v.as_int() >= (int64_t{1} << 22))
      fail(ErrorCode::bad_model, "[tokenizer.json] {} has no usable id", what);
    return static_cast<int32_t>(v.as_int());
  }

  void read_vocabulary(const Value& model) {
    const Value& vocab = json_member(model, "vocab", kPlace);
    if (!vocab.is_object()) fail(ErrorCode::bad_model, "[tokenizer.json] model.vocab is no object");
    size_t top = 0;
    for (const auto& [text, id] : vocab.as_object()) top = std::max<size_t>(top, id_of(id, "a vocabulary entry") + 1u);
    for (const Value& t : added_list())
      top = std::max<size_t>(top, id_of(json_member(t, "id", kPlace), "an added token") + 1u);
    b_.vocabulary().resize(top);
    b_.vocabulary().reserve_index(top);
    const bool byte_fallback = marked_ && json_bool(model, "byte_fallback", false);
    for (const auto& [text, id] : vocab.as_object()) set_token(static_cast<int32_t>(id.as_int()), text, byte_fallback);
    index_tokens(b_);
    Bpe::Options options;
    options.symbols = marked_ ? Bpe::Symbols::characters : Bpe::Symbols::bytes;
    options.byte_fallback = byte_fallback;
    options.ignore_merges = json_bool(model, "ignore_merges", false);
    options.fuse_unknown = json_bool(model, "fuse_unk", false);
    if (const Value* unk = model.find("unk_token"); unk && unk->is_string())
      if (const Value* id = vocab.find(unk->as_string())) options.unknown_id = static_cast<int32_t>(id->as_int());
    b_.bpe().configure(options);
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (const Value* v = model.find(key); v && v->is_string() && !v->as_string().empty())
        fail(ErrorCode::unsupported, "[tokenizer.json] model.{} '{}'", key, v->as_string());
  }

  void set_token(int32_t id, const std::string& text, bool byte_fallback) {
    if (marked_)
      return set_marked_token(b_, id, text, byte_fallback && byte_token(text) ? TokenKind::byte : TokenKind::normal);
    std::string bytes;
    b_.vocabulary().set(id, unspell_bytes(text, bytes) ? bytes : text, TokenKind::normal);
    if (b_.vocabulary().piece(id).size() == 1)
      b_.bpe().set_byte(static_cast<uint8_t>(b_.vocabulary().piece(id)[0]), id);
  }

  /// What text becomes again: spaces from U+2581, and which of them is not the text's own.
  void read_decoder(const Value& decoder, int depth) {
    if (decoder.is_null()) return;
    if (depth > 16) fail(ErrorCode::bad_model, "[tokenizer.json] decoder nested deeper than 16");
    const std::string type = json_string(decoder, "type", kPlace);
    if (type == "Sequence") {
      for (const Value& d : json_array(decoder, "decoders", kPlace)) read_decoder(d, depth + 1);
    } else if (type == "Metaspace") {
      const Value* scheme = decoder.find("prepend_scheme");
      const bool never = scheme && scheme->is_string() && scheme->as_string() == "never";
      marked_ = true;
      b_.strip_first_space(!never && json_bool(decoder, "add_prefix_space", true));
    } else if (type == "Replace") {
      const Value* text = json_member(decoder, "pattern", kPlace).find("String");
      if (!text || !text->is_string() || text->as_string() != kMark || json_string(decoder, "content", kPlace) != " ")
        fail(ErrorCode::unsupported, "[tokenizer.json] a decoder that replaces something else than U+2581 by a space");
      marked_ = true;
    } else if (type == "Strip") {
      const Value* start = decoder.find("start");
      if (json_string(decoder, "content", kPlace) != " " || !start || !start->is_int() || start->as_int() != 1)
        fail(ErrorCode::unsupported, "[tokenizer.json] a decoder that strips something else than the first space");
      b_.strip_first_space(true);
    } else if (type != "ByteLevel" && type != "ByteFallback" && type != "Fuse") {
      fail(ErrorCode::unsupported, "[tokenizer.json] decoder type '{}'", type);
    }
  }

  int32_t part(std::string_view spelled, std::string& bytes, size_t merge) const {
    if (marked_)
      bytes = unmarked(spelled);
    else if (!unspell_bytes(spelled, bytes))
      bytes = spelled;
    const int32_t id = vocabulary_->find(bytes);
    if (id < 0) fail(ErrorCode::bad_model, "[tokenizer.json] merge {} names '{}', which is no token", merge, spelled);
    return id;
  }

  void read_merges(const Value& model) {
    const Value::Array& merges = json_array(model, "merges", kPlace);
    vocabulary_ = &b_.vocabulary();
    b_.bpe().reserve_merges(merges.size());
    std::string left, right;
    int32_t merged = -1;  // vocabularies mostly list tokens in the order of their merges
    for (size_t i = 0; i < merges.size(); ++i) {
      std::string_view l, r;
      if (merges[i].is_array() && merges[i].as_array().size() == 2) {
        l = merges[i].as_array()[0].as_string();
        r = merges[i].as_array()[1].as_string();
      } else {
        const std::string_view text = merges[i].as_string();
        const size_t space = text.find(' ');
        if (space == std::string_view::npos)
          fail(ErrorCode::bad_model, "[tokenizer.json] merge {} is '{}', not two parts", i, text);
        l = text.substr(0, space);
        r = text.substr(space + 1);
      }
      const int32_t a = part(l, left, i), b = part(r, right, i);
      merged = vocabulary_->find(left += right, merged + 1);
      if (merged < 0) fail(ErrorCode::bad_model, "[tokenizer.json] merge {} makes '{}{}', which is no token", i, l, r);
      b_.bpe().add_merge(a, b, merged);
    }
  }

  const Value::Array& added_list() const {
    static const Value::Array kNone;
    const Value* added = json_.find("added_tokens");
    return added && added->is_array() ? added->as_array() : kNone;
  }

  void read_added() {
    for (const Value& t : added_list()) {
      AddedToken token = added_token(t, id_of(json_member(t, "id", kPlace), "an added token"), kPlace);
      b_.vocabulary().set(token.id, token.content, token.special ? TokenKind::control : TokenKind::user_defined);
      const bool normalized = json_bool(t, "normalized", !token.special) && !b_.normalizer().empty();
      if (normalized) token.content = b_.normalizer()(token.content);
      (normalized ? b_.added_normalized() : b_.added()).add(std::move(token));
    }
  }

  void read_post(const Value& post, int depth) {
    if (post.is_null()) return;
    if (depth > 16) fail(ErrorCode::bad_model, "[tokenizer.json] post_processor nested deeper than 16");
    const std::string type = json_string(post, "type", kPlace);
    if (type == "Sequence") {
      for (const Value& p : json_array(post, "processors", kPlace)) read_post(p, depth + 1);
    } else if (type == "TemplateProcessing") {
      read_template(post);
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      b_.prefix().push_back(pair_id(json_member(post, "cls", kPlace)));
      b_.suffix().push_back(pair_id(json_member(post, "sep", kPlace)));
    } else if (type != "ByteLevel") {
      fail(ErrorCode::unsupported, "[tokenizer.json] post_processor type '{}'", type);
    }
  }

  int32_t pair_id(const Value& v) {
    if (!v.is_array() || v.as_array().size() != 2) fail(ErrorCode::bad_model, "[tokenizer.json] no [token, id] pair");
    return known(id_of(v.as_array()[1], "a post-processor token"));
  }

  int32_t known(int32_t id) {
    if (!b_.vocabulary().contains(id))
      fail(ErrorCode::bad_model, "[tokenizer.json] post_processor names id {}, the vocabulary has {}", id,
           b_.vocabulary().size());
    return id;
  }

  void read_template(const Value& post) {
    const Value* tokens = post.find("special_tokens");
    bool before = true;
    for (const Value& item : json_array(post, "single", kPlace)) {
      if (item.find("Sequence")) {
        before = false;
        continue;
      }
      const std::string name = json_string(json_member(item, "SpecialToken", kPlace), "id", kPlace);
      const Value* entry = tokens ? tokens->find(name) : nullptr;
      if (!entry)
        fail(ErrorCode::bad_model, "[tokenizer.json] post_processor names '{}', which it does not define", name);
      for (const Value& id : json_array(*entry, "ids", kPlace))
        (before ? b_.prefix() : b_.suffix()).push_back(known(id_of(id, "a post-processor token")));
    }
  }

  const Value& json_;
  const Value* config_;
  const BareOptions& options_;
  TokenizerBuilder b_;
  const Vocabulary* vocabulary_ = nullptr;
  bool marked_ = false;  // spaces are U+2581, and characters rather than bytes are merged
};

}  // namespace

std::shared_ptr<const Tokenizer> tokenizer_from_json(const Value& json, const Value* config,
                                                     const BareOptions& options) {
  return JsonReader(json, config, options).read();
}

}  // namespace tenon
