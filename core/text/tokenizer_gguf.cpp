// A tokenizer from GGUF's tokenizer.ggml.* arrays alone (format specification, tokenizer arrays).
#include <algorithm>

#include "base/error.hpp"
#include "text/gguf_kinds.hpp"
#include "text/line_bpe.hpp"
#include "text/python_literal.hpp"
#include "text/rwkv.hpp"
#include "text/sentencepiece_models.hpp"
#include "text/tokenizer_build.hpp"

namespace tenon {

namespace {

enum class Algorithm { byte_bpe, score_bpe, line_bpe, longest_match, word_piece, unigram, other, none };

Algorithm algorithm_of(const std::string& model) {
  static const std::pair<const char*, Algorithm> kModels[] = {
#define TOKENIZER_MODEL(NAME, ALGORITHM) {NAME, Algorithm::ALGORITHM},
#define LINE_BPE_PRE(NAME)
#include "text/tokenizer_models.def"
#undef TOKENIZER_MODEL
#undef LINE_BPE_PRE
  };
  for (const auto& [name, algorithm] : kModels) {
    if (model != name) continue;
    if (algorithm == Algorithm::other) break;
    if (algorithm == Algorithm::none)
      fail(ErrorCode::not_found, "[tokenizer] the file has no vocabulary ('{}')", model);
    return algorithm;
  }
  fail(ErrorCode::unsupported, "[tokenizer] tokenizer.ggml.model '{}'", model);
}

bool is_line_pre(std::string_view name) {
  static constexpr std::string_view kNames[] = {
#define TOKENIZER_MODEL(NAME, ALGORITHM)
#define LINE_BPE_PRE(NAME) NAME,
#include "text/tokenizer_models.def"
#undef TOKENIZER_MODEL
#undef LINE_BPE_PRE
  };
  return std::ranges::find(kNames, name) != std::end(kNames);
}

constexpr const char* kPlace = "tokenizer.ggml.tokens";

class GgufReader {
 public:
  explicit GgufReader(const Checkpoint& checkpoint) : c_(checkpoint) {}

  std::shared_ptr<const Tokenizer> read() {
    const Value* model = c_.meta("tokenizer.ggml.model");
    if (!model || !model->is_string()) fail(ErrorCode::not_found, "[tokenizer] no tokenizer.ggml.model in the file");
    algorithm_ = algorithm_of(model->as_string());
    always_bos_ = algorithm_ == Algorithm::line_bpe;  // whatever early files say
    if (algorithm_ == Algorithm::byte_bpe && is_line_pre(pre())) algorithm_ = Algorithm::line_bpe;
    read_tokens();
    read_model();
    read_special();
    return b_.finish();
  }

 private:
  const Value::Array& array(const char* key) const {
    const Value* v = c_.meta(key);
    if (!v || !v->is_array()) fail(ErrorCode::bad_model, "[tokenizer] {} is no array", key);
    return v->as_array();
  }
  const Value::Array* optional_array(const char* key, size_t length) const {
    if (!c_.meta(key)) return nullptr;
    const Value::Array& a = array(key);
    if (a.size() != length)
      fail(ErrorCode::bad_model, "[tokenizer] {} has {} entries for {} tokens", key, a.size(), length);
    return &a;
  }
  int32_t id(const char* key) const { return gguf_id(c_, key, b_.vocabulary().size()); }
  bool flag(const char* key, bool otherwise) const { return gguf_flag(c_, key, otherwise); }
  static TokenKind kind_of(const Value::Array* kinds, size_t i) {
    if (!kinds || !(*kinds)[i].is_int()) return TokenKind::normal;
    const int64_t k = (*kinds)[i].as_int();
    return k >= 1 && k <= 6 ? static_cast<TokenKind>(k) : TokenKind::normal;
  }

  void read_tokens() {
    const Value::Array& tokens = array("tokenizer.ggml.tokens");
    if (tokens.empty()) fail(ErrorCode::bad_model, "[tokenizer] tokenizer.ggml.tokens is empty");
    const Value::Array* kinds = optional_array("tokenizer.ggml.token_type", tokens.size());
    b_.vocabulary().resize(tokens.size());
    b_.vocabulary().reserve_index(tokens.size());
    std::string bytes;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (!tokens[i].is_string()) fail(ErrorCode::bad_model, "[tokenizer] token {} is no string", i);
      const std::string& text = tokens[i].as_string();
      set_token(static_cast<int32_t>(i), text, kind_of(kinds, i), bytes);
    }
    index_tokens(b_);
  }

  void read_model() {
    if (algorithm_ == Algorithm::byte_bpe) return read_byte_bpe();
    if (algorithm_ == Algorithm::score_bpe) return read_score_bpe();
    if (algorithm_ == Algorithm::line_bpe) return read_line_bpe();
    if (algorithm_ == Algorithm::word_piece) return use_gguf_word_piece(b_, c_);
    if (algorithm_ == Algorithm::unigram) return use_gguf_unigram(b_, c_, scores());
    use_longest_match(b_, kPlace);
  }

  std::string pre() const {
    const Value* name = c_.meta("tokenizer.ggml.pre");
    return name && name->is_string() ? name->as_string() : "default";
  }

  void set_token(int32_t i, const std::string& text, TokenKind kind, std::string& bytes) {
    const bool added = kind == TokenKind::control || kind == TokenKind::user_defined || kind == TokenKind::unknown;
    if (algorithm_ == Algorithm::word_piece) {
      const std::string content = kind == TokenKind::control ? text : word_piece_text(text);
      b_.vocabulary().set(i, content, kind);
      if (added) b_.added().add({content, i, kind != TokenKind::user_defined});
    } else if (added) {
      const bool marked = algorithm_ != Algorithm::byte_bpe && kind == TokenKind::user_defined;
      const std::string content = marked ? unmarked(text) : text;
      b_.vocabulary().set(i, content, kind);
      b_.added().add({content, i, kind != TokenKind::user_defined});
    } else if (algorithm_ == Algorithm::byte_bpe) {
      b_.vocabulary().set(i, unspell_bytes(text, bytes) ? bytes : text, kind);
    } else if (algorithm_ == Algorithm::longest_match) {
      b_.vocabulary().set(i, kind == TokenKind::unused ? text : python_bytes(text, kPlace), kind);
    } else {
      if (algorithm_ == Algorithm::line_bpe && byte_token(text)) kind = TokenKind::byte;
      set_marked_token(b_, i, text, kind);
    }
  }

  void read_byte_bpe() {
    const std::string name = pre();
    b_.pre() = PreTokenizer::from_pre_name(name);
    traits_ = pre_traits(name);
    Bpe::Options options;
    options.ignore_merges = traits_.ignore_merges;  // a byte without a token is dropped
    b_.bpe().configure(options);
    for (int b = 0; b < 256; ++b) {
      const char c = static_cast<char>(b);
      b_.bpe().set_byte(static_cast<uint8_t>(b), b_.vocabulary().find({&c, 1}));
    }
    read_merges(array("tokenizer.ggml.merges"));
  }

  // Spaces and all other text stand for themselves here; what has no token is spelled in byte tokens.
  void read_line_bpe() {
    b_.normalizer().add(unmarked);
    b_.pre().add_split(Pattern(R"(\n+)"), PreTokenizer::Behavior::isolated);
    Bpe::Options options;
    options.symbols = Bpe::Symbols::characters;
    options.byte_fallback = true;
    options.unknown_id = id("tokenizer.ggml.unknown_token_id");
    b_.bpe().configure(options);
    set_bpe_bytes(b_);
    read_merges(array("tokenizer.ggml.merges"));
    b_.wrap_model([](auto bpe) { return std::make_unique<LineBpe>(std::move(bpe)); });
  }

  void read_part(std::string_view part, std::string& bytes) const {
    if (algorithm_ == Algorithm::line_bpe)
      bytes = unmarked(part);
    else if (!unspell_bytes(part, bytes))
      bytes = part;
  }

  // Each merge is "left right" in the spelled alphabet. One that names an unknown token can never apply and is skipped.
  void read_merges(const Value::Array& merges) {
    b_.bpe().reserve_merges(merges.size());
    std::string left, right;
    int32_t merged = -1;  // vocabularies mostly list tokens in the order of their merges
    for (size_t i = 0; i < merges.size(); ++i) {
      if (!merges[i].is_string()) fail(ErrorCode::bad_model, "[tokenizer] merge {} is no string", i);
      const std::string_view text = merges[i].as_string();
      const size_t space = text.find(' ', 1);
      if (space == std::string_view::npos)
        fail(ErrorCode::bad_model, "[tokenizer] merge {} is '{}', not two parts", i, text);
      read_part(text.substr(0, space), left);
      read_part(text.substr(space + 1), right);
      const int32_t l = b_.vocabulary().find(left), r = b_.vocabulary().find(right);
      merged = b_.vocabulary().find(left += right, merged + 1);
      if (l >= 0 && r >= 0 && merged >= 0) b_.bpe().add_merge(l, r, merged);
    }
  }

  std::vector<float> scores() const {
    const Value::Array* all = optional_array("tokenizer.ggml.scores", static_cast<size_t>(b_.vocabulary().size()));
    if (!all) fail(ErrorCode::bad_model, "[tokenizer] tokenizer.ggml.scores is missing");
    std::vector<float> out;
    out.reserve(all->size());
    for (const Value& v : *all) out.push_back(v.is_number() ? static_cast<float>(v.as_double()) : 0.0f);
    return out;
  }

  void read_score_bpe() {
    SentencePieceModel how;
    how.scores = scores();
    how.unknown_id = id("tokenizer.ggml.unknown_token_id");
    if (!flag("tokenizer.ggml.add_space_prefix", true)) how.text.space = SentencePieceText::Space::none;
    use_sentencepiece(b_, std::move(how));
    traits_.add_bos = true;
  }

  void read_special() {
    const int32_t bos = id("tokenizer.ggml.bos_token_id"), eos = id("tokenizer.ggml.eos_token_id");
    if (algorithm_ == Algorithm::longest_match) name_rwkv_tokens(b_);
    b_.set_bos(bos);
    b_.set_eos(eos);
    b_.name_token("pad_token", id("tokenizer.ggml.padding_token_id"));
    b_.name_token("unk_token", id("tokenizer.ggml.unknown_token_id"));
    for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) b_.add_stop(id(key));
    if (algorithm_ == Algorithm::word_piece) return;  // whose reader knows what goes around a text
    const bool add_bos = always_bos_ || flag("tokenizer.ggml.add_bos_token", traits_.add_bos);
    if (add_bos && bos >= 0) b_.prefix().push_back(bos);
    if (flag("tokenizer.ggml.add_eos_token", algorithm_ == Algorithm::unigram) && eos >= 0) b_.suffix().push_back(eos);
  }

  const Checkpoint& c_;
  TokenizerBuilder b_;
  Algorithm algorithm_ = Algorithm::none;
  PreTraits traits_;
  bool always_bos_ = false;
};

}  // namespace

bool gguf_flag(const Checkpoint& checkpoint, std::string_view key, bool otherwise) {
  const Value* v = checkpoint.meta(key);
  return v && v->is_bool() ? v->as_bool() : otherwise;
}

int32_t gguf_id(const Checkpoint& checkpoint, std::string_view key, int32_t size) {
  const Value* v = checkpoint.meta(key);
  return v && v->is_int() && v->as_int() >= 0 && v->as_int() < size ? static_cast<int32_t>(v->as_int()) : -1;
}

std::shared_ptr<const Tokenizer> tokenizer_from_gguf(const Checkpoint& checkpoint) {
  return GgufReader(checkpoint).read();
}

}  // namespace tenon
