#include "text/sentencepiece_text.hpp"

#include <optional>

#include "base/error.hpp"
#include "text/byte_trie.hpp"
#include "text/unicode.hpp"

namespace tenon {

namespace {

constexpr std::string_view kMark = "\xe2\x96\x81";
constexpr size_t kMaxText = size_t{1} << 30;

class TextNormalizer {
 public:
  explicit TextNormalizer(SentencePieceText how) : how_(std::move(how)) {
    std::vector<std::pair<std::string_view, int32_t>> untouched;
    for (const std::string& text : how_.untouched) untouched.emplace_back(text, 0);
    if (!untouched.empty()) untouched_.emplace(std::move(untouched));
  }

  std::string operator()(std::string_view text) const {
    const bool tidy = how_.remove_extra_whitespaces;
    for (Piece p; tidy && !text.empty() && (p = first(text)).text == " ";) text.remove_prefix(p.length);
    if (text.empty()) return {};
    std::string out = how_.space == SentencePieceText::Space::before ? " " : "";
    append(text, out);
    if (tidy)
      while (out.ends_with(' ') || out.ends_with(kMark))
        out.resize(out.size() - (out.back() == ' ' ? 1 : kMark.size()));
    if (how_.space == SentencePieceText::Space::behind) out += ' ';
    return unmarked(out);
  }

 private:
  struct Piece {
    std::string_view text;  // what the beginning becomes
    size_t length = 0;
  };

  Piece first(std::string_view text) const {
    if (untouched_)
      if (const size_t length = untouched_->longest(text, 0).length; length > 0)
        return {text.substr(0, length), length};
    if (how_.charsmap)
      if (const Charsmap::Match match = how_.charsmap->longest(text); match.length > 0)
        return {match.replacement, match.length};
    const size_t length = unicode::decode(text, 0).length;
    return {text.substr(0, length), length};
  }

  void append(std::string_view text, std::string& out) const {
    if (!untouched_ && !how_.charsmap && !how_.remove_extra_whitespaces) {
      out += text;
      return;
    }
    bool after_space = how_.remove_extra_whitespaces;
    while (!text.empty()) {
      Piece piece = first(text);
      while (after_space && piece.text.starts_with(' ')) piece.text.remove_prefix(1);
      out += piece.text;
      if (!piece.text.empty()) after_space = how_.remove_extra_whitespaces && piece.text.ends_with(' ');
      text.remove_prefix(piece.length);
      if (out.size() > kMaxText) fail(ErrorCode::capacity, "[tokenize] normalized text exceeds {} bytes", kMaxText);
    }
  }

  SentencePieceText how_;
  std::optional<ByteTrie> untouched_;
};

}  // namespace

std::string unmarked(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const bool mark = text.compare(at, kMark.size(), kMark) == 0;
    out += mark ? ' ' : text[at];
    at += mark ? kMark.size() : 1;
  }
  return out;
}

void use_sentencepiece_text(TokenizerBuilder& builder, SentencePieceText how) {
  if (how.remove_extra_whitespaces)
    builder.drop_first_space(FirstSpace::dropped_until_text);
  else if (how.space != SentencePieceText::Space::none)
    builder.drop_first_space(FirstSpace::dropped_behind_control);
  builder.normalizer().add([normalizer = std::make_shared<const TextNormalizer>(std::move(how))](std::string_view s) {
    return (*normalizer)(s);
  });
}

}  // namespace tenon
