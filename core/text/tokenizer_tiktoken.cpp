// A tokenizer from a rank file (tiktoken: a line "base64 rank" per token). The file has neither pattern nor special
// tokens: the caller says them, or a checkpoint's tokenizer class does (table tiktoken_classes.def).
#include <algorithm>
#include <charconv>

#include "base/error.hpp"
#include "text/base64.hpp"
#include "text/json_fields.hpp"
#include "text/rank_bpe.hpp"
#include "text/unicode.hpp"

namespace tenon {

namespace {

constexpr size_t kMaxRanks = size_t{1} << 22;
constexpr const char* kConfig = "tokenizer_config.json";

struct TiktokenClass {
  std::string_view name, pre;
  int32_t special;
  std::string_view spelling;
};
constexpr TiktokenClass kClasses[] = {
#define TIKTOKEN_CLASS(NAME, PRE, SPECIAL, SPELLING) {NAME, PRE, SPECIAL, SPELLING},
#include "text/tiktoken_classes.def"
#undef TIKTOKEN_CLASS
};

void read_line(std::string_view line, size_t number, std::string_view place, RankedTokens& tokens) {
  const size_t space = line.find(' ');
  const auto token = decode_base64(line.substr(0, space));
  if (space == std::string_view::npos || !token || token->empty())
    fail(ErrorCode::bad_model, "[{} line {}] no base64 token and a rank", place, number);
  const std::string_view digits = line.substr(space + 1);
  size_t rank = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
  if (error != std::errc() || end != digits.data() + digits.size() || rank >= kMaxRanks)
    fail(ErrorCode::bad_model, "[{} line {}] the rank is no number below {}", place, number, kMaxRanks);
  if (rank >= tokens.size()) tokens.resize(rank + 1);
  if (!tokens[rank].empty()) fail(ErrorCode::bad_model, "[{} line {}] rank {} again", place, number, rank);
  tokens[rank] = *token;
}

RankedTokens read_ranks(std::string_view bytes, std::string_view place) {
  RankedTokens tokens;
  size_t number = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', at), bytes.size());
    std::string_view line = bytes.substr(at, end - at);
    at = end + 1;
    ++number;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (!line.empty()) read_line(line, number, place, tokens);
  }
  if (tokens.empty()) fail(ErrorCode::bad_model, "[{}] the file has no ranks", place);
  return tokens;
}

// "tokenization_x.Class" of auto_map, or the class that the file names otherwise.
std::string class_of(const Value& config) {
  std::string name;
  if (const Value* v = config.find_path("auto_map.AutoTokenizer")) {
    if (v->is_array() && !v->as_array().empty()) v = &v->as_array()[0];
    if (v->is_string()) name = v->as_string().substr(v->as_string().rfind('.') + 1);
  }
  const Value* v = config.find("tokenizer_class");
  return name.empty() && v && v->is_string() ? v->as_string() : name;
}

const TiktokenClass& known_class(const Value* config, std::string_view place) {
  if (!config) fail(ErrorCode::not_found, "[tokenizer] no {} beside {}, which has no pattern", kConfig, place);
  const std::string name = class_of(*config);
  const auto* const row = std::ranges::find(kClasses, name, &TiktokenClass::name);
  if (row == std::end(kClasses))
    fail(ErrorCode::unsupported, "[{}] tokenizer class '{}', whose pattern for {} is not known", kConfig, name, place);
  return *row;
}

}  // namespace

bool is_rank_file(std::string_view bytes) {
  const std::string_view line = bytes.substr(0, std::min(bytes.find_first_of("\r\n"), size_t{4096}));
  const size_t space = line.find(' ');
  return space != std::string_view::npos && space > 0 && decode_base64(line.substr(0, space)) &&
         line.find_first_not_of("0123456789", space + 1) == std::string_view::npos;
}

std::shared_ptr<const Tokenizer> tokenizer_from_ranks(std::string_view bytes, std::string_view place,
                                                      const BareOptions& options) {
  if (options.pre.empty())
    fail(ErrorCode::usage, "[{}] a tiktoken file has no pattern: --pre NAME says which it is", place);
  TokenizerBuilder b;
  b.pre() = PreTokenizer::from_pre_name(options.pre);
  const RankedTokens tokens = read_ranks(bytes, place);
  b.vocabulary().resize(tokens.size());
  use_rank_bpe(b, tokens, 0, place);
  apply_bare_options(b, options);
  return b.finish();
}

std::shared_ptr<const Tokenizer> tokenizer_from_ranks(std::string_view bytes, std::string_view place,
                                                      const Value* config, const BareOptions& options) {
  const TiktokenClass& row = known_class(config, place);
  const RankedTokens tokens = read_ranks(bytes, place);
  const auto first = static_cast<int32_t>(tokens.size());
  TokenizerBuilder b;
  b.pre() = PreTokenizer::from_pre_name(row.pre);
  b.vocabulary().resize(tokens.size() + static_cast<size_t>(row.special));
  use_rank_bpe(b, tokens, 0, place);
  std::vector<AddedToken> named(static_cast<size_t>(row.special));
  for (AddedToken& token : added_tokens_decoder(*config)) {
    if (token.id < first || token.id >= first + row.special)
      fail(ErrorCode::bad_model, "[{}] special token '{}' has the id {}, outside {}..{}", kConfig, token.content,
           token.id, first, first + row.special - 1);
    named[static_cast<size_t>(token.id - first)] = std::move(token);
  }
  for (int32_t i = 0; i < row.special; ++i) {
    const AddedToken& token = named[static_cast<size_t>(i)];
    const bool visible = !token.content.empty() && !token.special;
    const std::string content =
        token.content.empty() ? fmt::format(fmt::runtime(row.spelling), first + i) : token.content;
    add_special(b, first + i, content, visible ? TokenKind::user_defined : TokenKind::control);
  }
  apply_tokenizer_config(b, *config, {});
  apply_bare_options(b, options);
  return b.finish();
}

}  // namespace tenon
