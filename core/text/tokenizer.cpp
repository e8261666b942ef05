// What all tokenizers share: decoding, streaming, stop ids, and the encoding pipeline around a model.
#include "text/tokenizer.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "text/tokenizer_build.hpp"
#include "text/unicode.hpp"
#include "text/word_cache.hpp"

namespace tenon {

namespace {

constexpr size_t kMaxText = size_t{1} << 30;

constexpr std::string_view kStopNames[] = {
#define STOP_NAME(NAME) NAME,
#include "text/stop_names.def"
#undef STOP_NAME
};

}  // namespace

std::string_view Tokenizer::piece(int32_t id) const {
  const Vocabulary& pieces = pieces_.size() > 0 ? pieces_ : vocabulary_;
  return pieces.contains(id) ? pieces.piece(id) : std::string_view();
}

// Control tokens and what stands for unknown text have no space of the encoding's.
std::string_view Tokenizer::first_piece(int32_t id, bool& first) const {
  const bool control = is_control(id);
  const bool unknown = vocabulary_.contains(id) && vocabulary_.kind(id) == TokenKind::unknown;
  std::string_view bytes = piece(id);
  if (!control && !unknown && bytes.starts_with(' ')) bytes.remove_prefix(1);
  first = first_space_ != FirstSpace::dropped &&
          (control || (bytes.empty() && first_space_ == FirstSpace::dropped_until_text));
  return bytes;
}

bool Tokenizer::is_control(int32_t id) const {
  return vocabulary_.contains(id) && vocabulary_.kind(id) == TokenKind::control;
}

bool Tokenizer::is_text(int32_t id) const {
  if (!vocabulary_.contains(id)) return false;
  const TokenKind kind = vocabulary_.kind(id);
  return kind == TokenKind::normal || kind == TokenKind::user_defined || kind == TokenKind::byte;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string out;
  bool first = strips_first_space();
  TokenDecoder::Run run(decoder_);
  for (int32_t id : ids) {
    if (!vocabulary_.contains(id)) fail(ErrorCode::usage, "[detokenize] id {} is outside 0..{}", id, size() - 1);
    if (skip_special && is_control(id)) continue;
    if (!decoder_.empty()) {
      out += run.feed(vocabulary_.piece(id));
      continue;
    }
    out += first ? first_piece(id, first) : piece(id);
  }
  return out += run.finish();
}

bool Tokenizer::add_bos() const { return bos_ && !prefix_.empty() && prefix_.front() == *bos_; }

std::optional<int32_t> Tokenizer::token_to_id(std::string_view text) const {
  for (const int32_t id : {added_.find(text), added_normalized_.find(text), vocabulary_.find(text)})
    if (id >= 0) return id;
  return std::nullopt;
}

StreamDecoder::StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special)
    : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {
  if (!tokenizer_->decoder_.empty()) run_.emplace(tokenizer_->decoder_);
}

std::string StreamDecoder::feed(int32_t id) {
  if (skip_special_ && tokenizer_->is_control(id)) return {};
  if (run_) {
    if (tokenizer_->vocabulary_.contains(id)) pending_ += run_->feed(tokenizer_->vocabulary_.piece(id));
  } else {
    first_ = first_ && tokenizer_->strips_first_space();
    pending_ += first_ ? tokenizer_->first_piece(id, first_) : tokenizer_->piece(id);
  }
  const size_t keep = unicode::incomplete_tail(pending_);
  std::string out = pending_.substr(0, pending_.size() - keep);
  pending_.erase(0, out.size());
  return out;
}

std::string StreamDecoder::flush() {
  std::string out;
  out.swap(pending_);
  if (run_) {
    out += run_->finish();
    run_.emplace(tokenizer_->decoder_);
  }
  first_ = true;
  return out;
}

void PipelineTokenizer::encode_plain(std::string_view text, bool at_start, bool parse_special, WordCache& cache,
                                     std::vector<int32_t>& out) const {
  const std::string normalized = normalizer_.empty() ? std::string() : normalizer_(text, at_start);
  if (!normalizer_.empty()) text = normalized;
  std::vector<AddedTokens::Fragment> fragments;
  if (added_normalized_.empty())
    fragments.push_back({text, -1});
  else
    added_normalized_.split(text, parse_special, fragments);
  PreTokenizer::Words words;
  for (const auto& fragment : fragments) {
    if (fragment.id >= 0) {
      out.push_back(fragment.id);
      continue;
    }
    pre_(fragment.text, words, at_start && fragment.text.data() == text.data());
    for (std::string_view word : words.pieces) cache.encode(*model_, vocabulary_, word, out);
  }
}

/// Normalised text has lost its places: where any of it is a user's, none of it is looked through for special tokens.
static bool parse_normalized(std::string_view text, std::string_view fragment, const EncodeOptions& options) {
  if (!options.parse_special || !options.special_within) return options.parse_special;
  const auto begin = static_cast<size_t>(fragment.data() - text.data());
  return std::ranges::any_of(*options.special_within,
                             [&](const TextSpan& s) { return s.begin <= begin && begin + fragment.size() <= s.end; });
}

std::vector<int32_t> PipelineTokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  if (text.size() > kMaxText) fail(ErrorCode::capacity, "[tokenize] {} bytes exceed {}", text.size(), kMaxText);
  std::vector<int32_t> out;
  WordCache cache(text.size());
  std::vector<AddedTokens::Fragment> fragments;
  added_.split(text, options.parse_special, fragments, options.special_within);
  // A rendered prompt may begin with bos itself.
  const bool there =
      fragments.size() >= prefix_.size() &&
      std::ranges::equal(prefix_, std::span(fragments).first(prefix_.size()), {}, {}, &AddedTokens::Fragment::id);
  if (options.add_special && !there) out = prefix_;
  for (const auto& fragment : fragments) {
    if (fragment.id >= 0)
      out.push_back(fragment.id);
    else
      encode_plain(fragment.text, fragment.text.data() == text.data(), parse_normalized(text, fragment.text, options),
                   cache, out);
  }
  if (options.add_special) out.insert(out.end(), suffix_.begin(), suffix_.end());
  return out;
}

void TokenizerBuilder::name_token(const std::string& name, int32_t id) {
  if (vocabulary().contains(id)) t_->named_[name] = std::string(vocabulary().piece(id));
}

void TokenizerBuilder::set_bos(int32_t id) {
  if (!vocabulary().contains(id)) return;
  t_->bos_ = id;
  name_token("bos_token", id);
}

void TokenizerBuilder::set_eos(int32_t id) {
  if (!vocabulary().contains(id)) return;
  t_->eos_ = id;
  name_token("eos_token", id);
  add_stop(id);
}

void TokenizerBuilder::add_stop(int32_t id) {
  if (vocabulary().contains(id)) t_->stop_.push_back(id);
}

Bpe& TokenizerBuilder::bpe() {
  if (!bpe_) {
    auto model = std::make_unique<Bpe>();
    bpe_ = model.get();
    set_model(std::move(model));
  }
  return *bpe_;
}

void TokenizerBuilder::set_piece(int32_t id, std::string_view bytes) {
  t_->pieces_.resize(static_cast<size_t>(vocabulary().size()));
  t_->pieces_.set(id, bytes, vocabulary().kind(id));
}

void TokenizerBuilder::change_piece(int32_t id, std::string_view bytes) {
  if (t_->pieces_.size() < vocabulary().size()) t_->pieces_ = vocabulary();
  t_->pieces_.set(id, bytes, vocabulary().kind(id));
}

// What each token means amid others; a step that holds text back leaves it to the token that follows.
void TokenizerBuilder::derive_pieces() {
  if (t_->decoder_.empty()) return;
  TokenDecoder::Run run(t_->decoder_);
  run.feed("a");
  for (int32_t id = 0; id < vocabulary().size(); ++id) set_piece(id, run.feed(vocabulary().piece(id)));
}

std::shared_ptr<const Tokenizer> TokenizerBuilder::finish() {
  derive_pieces();
  for (std::string_view name : kStopNames)
    if (const auto id = t_->token_to_id(name)) add_stop(*id);
  std::vector<int32_t>& stop = t_->stop_;
  std::sort(stop.begin(), stop.end());
  stop.erase(std::unique(stop.begin(), stop.end()), stop.end());
  // Where a format ends messages with two others (harmony's <|return|> and <|call|>), <|end|> only separates them.
  const auto has = [this](const char* name) { return t_->token_to_id(name).has_value(); };
  const bool separates = (has("<|return|>") && has("<|call|>")) || (has("<|flush|>") && has("<|calls|>"));
  if (separates && has("<|end|>")) std::erase(stop, *t_->token_to_id("<|end|>"));
  return t_;
}

}  // namespace tenon
