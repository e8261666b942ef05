// What the caller says of a bare vocabulary file beyond what the file says itself.
#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "text/rank_bpe.hpp"
#include "text/unicode.hpp"

namespace tenon {

static void add_specials(TokenizerBuilder& b, const std::filesystem::path& file) {
  const std::string place = file.filename().string();
  const Value json = parse_json(read_file(file), place);
  if (!json.is_object()) fail(ErrorCode::usage, "[{}] special tokens are no object of token and id", place);
  const int32_t ordinary = b.vocabulary().size();
  for (const auto& [content, id] : json.as_object()) {
    if (!id.is_int() || id.as_int() < 0 || id.as_int() >= int64_t{1} << 22)
      fail(ErrorCode::usage, "[{}] special token {} has no id of 0..{}", place, in_quotes(content), (1 << 22) - 1);
    const auto i = static_cast<int32_t>(id.as_int());
    if (i < ordinary && b.vocabulary().kind(i) != TokenKind::unused && b.vocabulary().piece(i) != content)
      fail(ErrorCode::usage, "[{}] special token {} has the id {} of the token {}", place, in_quotes(content), i,
           in_quotes(b.vocabulary().piece(i)));
    b.vocabulary().resize(static_cast<size_t>(i) + 1);
    add_special(b, i, content, TokenKind::control);
  }
}

void apply_bare_options(TokenizerBuilder& builder, const BareOptions& options) {
  if (!options.special.empty()) add_specials(builder, options.special);
  if (!options.nfc) return;
  Normalizer first;
  first.add([](std::string_view s) { return unicode::normalize(s, unicode::Form::nfc); });
  if (!builder.normalizer().empty())
    first.add([own = std::move(builder.normalizer())](std::string_view s) { return own(s); });
  builder.normalizer() = std::move(first);
}

}  // namespace tenon
