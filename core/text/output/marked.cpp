#include "text/output/marked.hpp"

#include <algorithm>

namespace tenon::output {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

bool reads_json(Syntax syntax) {
  return syntax != Syntax::functions && syntax != Syntax::keys && syntax != Syntax::invokes &&
         syntax != Syntax::pythonic;
}

}  // namespace

Markers markers_of(std::string_view chat_template) {
  const auto mentioned = [&](std::string_view text) { return chat_template.find(text) != std::string_view::npos; };
  Markers out;
#define REASONING(OPEN, CLOSE, MENTIONED) \
  if (mentioned(MENTIONED)) out.reasoning.push_back({OPEN, CLOSE});
#define CALLS(OPEN, CLOSE, SYNTAX, MENTIONED) \
  if (mentioned(MENTIONED)) out.blocks.push_back({OPEN, CLOSE, Syntax::SYNTAX, false});
#define WHOLE(OPEN, CLOSE, SYNTAX, MENTIONED) \
  if (mentioned(MENTIONED)) out.blocks.push_back({OPEN, CLOSE, Syntax::SYNTAX, true});
#define BARE(FIRST, SYNTAX, MENTIONED) \
  if (mentioned(MENTIONED)) out.bare.push_back({FIRST, Syntax::SYNTAX});
#define DROP(TEXT, MENTIONED) \
  if (mentioned(MENTIONED)) out.drop.push_back(TEXT);
#include "text/output/formats.def"
#undef REASONING
#undef CALLS
#undef WHOLE
#undef BARE
#undef DROP
  return out;
}

MarkedParser::MarkedParser(Markers markers, const ParserOptions& options)
    : markers_(std::move(markers)), tools_(options.tools), id_prefix_(options.id_prefix) {
  for (const Reasoning& r : markers_.reasoning) watched_.push_back(r.open);
  for (const Block& b : markers_.blocks) watched_.push_back(b.open);
  // The end of reasoning whose beginning is in no text.
  for (const Reasoning& r : markers_.reasoning) watched_.push_back(r.close);
  watched_.insert(watched_.end(), markers_.drop.begin(), markers_.drop.end());
  const std::string_view prompt =
      std::string_view(options.prompt).substr(0, options.prompt.find_last_not_of(kSpace) + 1);
  for (const Reasoning& r : markers_.reasoning)
    if (prompt.ends_with(r.open)) open_reasoning(r);
}

Deltas MarkedParser::feed(std::string_view text) {
  pending_.append(text);
  run(false);
  return std::exchange(out_, {});
}

Deltas MarkedParser::finish() {
  run(true);
  if (n_calls_ == 0) emit(Delta::Kind::content, std::exchange(space_, {}));
  return std::exchange(out_, {});
}

void MarkedParser::run(bool last) {
  for (bool more = true; more;) {
    switch (mode_) {
      case Mode::content:
        more = run_content(last);
        break;
      case Mode::reasoning:
        more = run_reasoning(last);
        break;
      case Mode::block:
        more = run_block(last);
        break;
      case Mode::bare:
        more = false;
        if (!last) break;
        if (Calls calls = parse_calls(bare_, pending_.view(), tools_))
          emit_calls(std::move(*calls));
        else
          emit_text(pending_.view());
        consume(pending_.view().size());
    }
  }
}

void MarkedParser::consume(size_t n) {
  pending_.consume(n);
  scan_ = 0;
}

bool MarkedParser::begin_bare() {
  if (anything_ || n_calls_ > 0 || markers_.bare.empty()) return false;
  const std::string_view text = pending_.view();
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return false;
  for (const Bare& bare : markers_.bare)
    if (text[first] == bare.first) {
      mode_ = Mode::bare;
      bare_ = bare.syntax;
      return true;
    }
  return false;
}

bool MarkedParser::run_content(bool last) {
  if (begin_bare()) return true;
  const std::string_view text = pending_.view();
  std::string_view found;
  const size_t at = find_marker(text, watched_, found);
  if (at == std::string_view::npos) {
    const size_t ready = text.size() - (last ? 0 : unfinished(text, watched_));
    emit_text(text.substr(0, ready));
    consume(ready);
    return false;
  }
  emit_text(text.substr(0, at));
  consume(at);
  for (const Block& block : markers_.blocks)
    if (block.open == found) return open_block(block), true;
  for (const Reasoning& r : markers_.reasoning) {
    if (r.open != found && r.close != found) continue;
    if (anything_)  // the answer speaks of the marker
      emit_text(found);
    else if (r.open == found)
      open_reasoning(r);
    else
      skip_space_ = true;
  }
  consume(found.size());  // an opening of reasoning, or what is dropped
  return true;
}

void MarkedParser::open_reasoning(const Reasoning& reasoning) {
  mode_ = Mode::reasoning;
  reasoning_ = &reasoning;
  skip_space_ = true;
  space_.clear();
}

bool MarkedParser::run_reasoning(bool last) {
  const std::string_view text = pending_.view();
  std::string_view found;
  const size_t at = find_marker(text, std::span(&reasoning_->close, 1), found);
  const bool closed = at != std::string_view::npos;
  const size_t ready = closed ? at : text.size() - (last ? 0 : unfinished(text, std::span(&reasoning_->close, 1)));
  emit(Delta::Kind::reasoning, text.substr(0, ready));
  consume(closed ? at + found.size() : ready);
  if (!closed) return false;
  mode_ = Mode::content;
  space_.clear();
  skip_space_ = true;
  return true;
}

void MarkedParser::open_block(const Block& block) {
  mode_ = Mode::block;
  block_ = &block;
  place_ = {};
  scan_ = block.open.size();
}

bool MarkedParser::run_block(bool last) {
  const std::string_view close = block_->close.empty() ? block_->open : block_->close;
  const std::string_view text = pending_.view();
  // Where the closing marker within a JSON string is text.
  const size_t first = std::min(text.find_first_not_of(kSpace, block_->open.size()), text.size() - 1);
  const bool json =
      block_->syntax == Syntax::any ? text[first] == '{' || text[first] == '[' : reads_json(block_->syntax);
  for (; scan_ < text.size(); ++scan_) {
    if (text[scan_] == close[0] && !(json && place_.in_string())) {
      if (text.substr(scan_, close.size()) == close) {
        close_block(scan_, block_->close.empty() ? scan_ : scan_ + close.size());
        return true;
      }
      if (!last && close.starts_with(text.substr(scan_, close.size()))) return false;  // perhaps
    }
    if (json) place_.feed(text[scan_]);
  }
  if (last && !text.empty()) close_block(text.size(), text.size());
  return false;
}

void MarkedParser::close_block(size_t end, size_t after) {
  const std::string_view text = pending_.view();
  const size_t begin = block_->whole ? 0 : block_->open.size();
  const std::string_view body = text.substr(begin, (block_->whole ? after : end) - begin);
  if (Calls calls = parse_calls(block_->syntax, body, tools_))
    emit_calls(std::move(*calls));
  else
    emit_text(text.substr(0, after));
  mode_ = Mode::content;
  consume(after);
}

void MarkedParser::emit(Delta::Kind kind, std::string_view text) {
  if (text.empty()) return;
  if (kind != Delta::Kind::reasoning) {
    out_.push_back({kind, std::string(text)});
    return;
  }
  // White space at both ends of reasoning is layout.
  if (skip_space_) {
    text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
    if (text.empty()) return;
    skip_space_ = false;
  }
  const size_t solid = text.find_last_not_of(kSpace) + 1;
  if (solid > 0) out_.push_back({kind, std::exchange(space_, {}) + std::string(text.substr(0, solid))});
  space_ += text.substr(solid);
}

void MarkedParser::emit_text(std::string_view text) {
  if (skip_space_) text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  const size_t solid = text.find_last_not_of(kSpace) + 1;
  if (solid > 0) {
    skip_space_ = false;
    anything_ = true;
    emit(Delta::Kind::content, std::exchange(space_, {}) + std::string(text.substr(0, solid)));
  }
  space_ += text.substr(solid);
}

void MarkedParser::emit_calls(std::vector<ToolCall> calls) {
  space_.clear();
  skip_space_ = true;
  for (ToolCall& call : calls) {
    const size_t index = n_calls_++;
    if (call.id.empty()) call.id = "call_" + id_prefix_ + std::to_string(index);
    out_.push_back({Delta::Kind::call_begin, {}, index, std::move(call.id), std::move(call.name)});
    out_.push_back({Delta::Kind::arguments, std::move(call.arguments), index});
  }
}

}  // namespace tenon::output
