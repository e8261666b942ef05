// A tokenizer from tekken.json: ranked tokens as a tiktoken file has them, a pattern, and special tokens, whose ids
// come first.
#include <algorithm>

#include "base/error.hpp"
#include "text/base64.hpp"
#include "text/json_fields.hpp"
#include "text/rank_bpe.hpp"

namespace tenon {

namespace {

constexpr int64_t kMaxTokens = int64_t{1} << 22;
constexpr std::string_view kSpecial[] = {
#define TEKKEN_SPECIAL(NAME) NAME,
#include "text/tekken_special.def"
#undef TEKKEN_SPECIAL
};

class TekkenReader {
 public:
  TekkenReader(const Value& json, std::string_view place)
      : json_(json), place_(place), config_(json_member(json, "config", place)) {}

  TokenizerBuilder& read() {
    const int64_t size = count("default_vocab_size");
    n_special_ = static_cast<int32_t>(count("default_num_special_tokens"));
    if (n_special_ > size)
      fail(ErrorCode::bad_model, "[{}] {} special tokens, {} tokens in all", place_, n_special_, size);
    b_.vocabulary().resize(static_cast<size_t>(size));
    b_.pre().add_split(Pattern(json_string(config_, "pattern", place_)), PreTokenizer::Behavior::isolated);
    use_rank_bpe(b_, ranked(static_cast<size_t>(size - n_special_)), n_special_, place_);
    read_special();
    b_.set_bos(b_.find("<s>"));
    b_.set_eos(b_.find("</s>"));
    b_.name_token("unk_token", b_.find("<unk>"));
    b_.name_token("pad_token", b_.find("<pad>"));
    if (const int32_t bos = b_.find("<s>"); bos >= 0) b_.prefix().push_back(bos);
    return b_;
  }

 private:
  int64_t count(const char* key) const { return integer(config_, key, kMaxTokens); }

  int64_t integer(const Value& entry, const char* key, int64_t below) const {
    const Value& v = json_member(entry, key, place_);
    if (!v.is_int() || v.as_int() < 0 || v.as_int() >= below)
      fail(ErrorCode::bad_model, "[{}] '{}' is no integer of 0..{}", place_, key, below - 1);
    return v.as_int();
  }

  // Files hold more tokens than a model uses: those of higher ranks are left out.
  RankedTokens ranked(size_t size) const {
    RankedTokens tokens(size);
    for (const Value& entry : json_array(json_, "vocab", place_)) {
      const auto rank = static_cast<size_t>(integer(entry, "rank", kMaxTokens));
      if (rank >= size) continue;
      auto token = decode_base64(json_string(entry, "token_bytes", place_));
      if (!token || token->empty()) fail(ErrorCode::bad_model, "[{}] rank {} has no base64 token", place_, rank);
      if (!tokens[rank].empty()) fail(ErrorCode::bad_model, "[{}] rank {} again", place_, rank);
      tokens[rank] = std::move(*token);
    }
    for (size_t rank = 0; rank < size; ++rank)
      if (tokens[rank].empty()) fail(ErrorCode::bad_model, "[{}] rank {} of {} is missing", place_, rank, size);
    return tokens;
  }

  void read_special() {
    std::vector<bool> named(static_cast<size_t>(n_special_));
    const auto set = [&](int64_t id, const std::string& content, bool control) {
      if (id >= n_special_ || named[static_cast<size_t>(id)] || b_.added().find(content) >= 0)
        fail(ErrorCode::bad_model, "[{}] special token {} with id {}: taken, or not below {}", place_,
             in_quotes(content), id, n_special_);
      named[static_cast<size_t>(id)] = true;
      add_special(b_, static_cast<int32_t>(id), content, control ? TokenKind::control : TokenKind::user_defined);
    };
    if (const Value* list = json_.find("special_tokens"); list && !list->is_null()) {
      for (const Value& entry : json_array(json_, "special_tokens", place_))
        set(integer(entry, "rank", kMaxTokens), json_string(entry, "token_str", place_),
            json_bool(entry, "is_control", true));
    } else {
      require_old_version();
      for (size_t i = 0; i < std::size(kSpecial) && i < named.size(); ++i)
        set(static_cast<int64_t>(i), std::string(kSpecial[i]), true);
    }
    for (int32_t i = 0; i < n_special_; ++i)
      if (!named[static_cast<size_t>(i)]) set(i, fmt::format("<SPECIAL_{}>", i), true);
  }

  void require_old_version() const {
    const std::string version = json_string(config_, "version", place_);
    for (const char* old : {"v1", "v2", "v3", "v7"})
      if (version == old) return;
    fail(ErrorCode::unsupported, "[{}] version '{}' without special_tokens", place_, version);
  }

  const Value& json_;
  std::string_view place_;
  const Value& config_;
  TokenizerBuilder b_;
  int32_t n_special_ = 0;
};

}  // namespace

bool is_tekken(const Value& json) {
  const Value* config = json.find("config");
  return config && config->find("default_num_special_tokens") && json.find("vocab");
}

std::shared_ptr<const Tokenizer> tokenizer_from_tekken(const Value& json, std::string_view place, const Value* config,
                                                       const BareOptions& options) {
  TekkenReader reader(json, place);
  TokenizerBuilder& b = reader.read();
  if (config) apply_tokenizer_config(b, *config, {.bos = b.find("<s>"), .eos = b.find("</s>")});
  apply_bare_options(b, options);
  return b.finish();
}

}  // namespace tenon
