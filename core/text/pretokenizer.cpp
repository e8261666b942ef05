// Pre-tokenizers: every kind is either a split by a pattern with a behaviour, or a rewrite of the piece.
#include "text/pretokenizer.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "text/digit_groups.hpp"
#include "text/json_fields.hpp"
#include "text/rewrites.hpp"
#include "text/unicode.hpp"
#include "text/unicode_classes.hpp"

namespace tenon {

namespace {

constexpr const char* kWordSplit =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";  // ByteLevel's own

struct PreName {
  std::string_view name;
  PreTraits traits;
  std::vector<const char*> patterns;
};

const PreName& pre_name(std::string_view name) {
  static const std::vector<PreName> kNames = {
#define PRE(NAME, IGNORE_MERGES, ADD_BOS, ...) {NAME, {IGNORE_MERGES, ADD_BOS}, {__VA_ARGS__}},
#include "text/pre_names.def"
#undef PRE
  };
  for (const PreName& p : kNames)
    if (p.name == name) return p;
  fail(ErrorCode::unsupported, "[tokenizer] tokenizer.ggml.pre '{}' is not known", name);
}

PreTokenizer::Behavior behavior_of(const std::string& name) {
  using B = PreTokenizer::Behavior;
  static const std::pair<const char*, B> kNames[] = {{"Removed", B::removed},
                                                     {"Isolated", B::isolated},
                                                     {"MergedWithPrevious", B::merged_with_previous},
                                                     {"MergedWithNext", B::merged_with_next},
                                                     {"Contiguous", B::contiguous}};
  for (const auto& [text, behavior] : kNames)
    if (name == text) return behavior;
  fail(ErrorCode::unsupported, "[pre_tokenizer] behavior '{}'", name);
}

struct Part {
  size_t begin, end;
  bool match;
};

// Matches and the gaps between them, in order and without holes.
std::vector<Part> parts_of(const std::vector<Pattern::Span>& spans, size_t size, bool invert) {
  std::vector<Part> parts;
  size_t done = 0;
  for (const auto& [begin, end] : spans) {
    if (begin > done) parts.push_back({done, begin, invert});
    parts.push_back({begin, end, !invert});
    done = end;
  }
  if (done < size) parts.push_back({done, size, invert});
  return parts;
}

}  // namespace

PreTraits pre_traits(std::string_view name) { return pre_name(name).traits; }

const std::vector<const char*>& pre_patterns(std::string_view name) { return pre_name(name).patterns; }

PreTokenizer PreTokenizer::from_pre_name(std::string_view name) {
  static const std::pair<std::string_view, DigitGroups> kPasses[] = {{"<thousands>", DigitGroups::isolated},
                                                                     {"<bounded thousands>", DigitGroups::bounded},
                                                                     {"<before thousands>", DigitGroups::before}};
  PreTokenizer p;
  for (const char* pattern : pre_name(name).patterns) {
    const auto* const pass = std::ranges::find(kPasses, pattern, &std::pair<std::string_view, DigitGroups>::first);
    if (pass == std::end(kPasses)) {
      p.add_split(Pattern(pattern), Behavior::isolated);
      continue;
    }
    p.add_digit_groups(pass->second);
  }
  p.byte_level_ = true;
  return p;
}

void PreTokenizer::add_step(Step step) {
  constexpr size_t kMaxSteps = 64;
  if (steps_.size() == kMaxSteps) fail(ErrorCode::bad_model, "[pre_tokenizer] more than {} steps", kMaxSteps);
  steps_.push_back(std::move(step));
}

void PreTokenizer::add_digit_groups(DigitGroups how) {
  Step step;
  step.rewrite = [how](bool, std::string_view piece, Words& out) { split_digits(piece, how, out.pieces); };
  add_step(std::move(step));
}

void PreTokenizer::add_split(Pattern pattern, Behavior behavior, bool invert) {
  Step step;
  step.pattern = std::move(pattern);
  step.behavior = behavior;
  step.invert = invert;
  add_step(std::move(step));
}

void PreTokenizer::split(const Step& step, std::string_view piece, std::vector<std::string_view>& out) {
  std::vector<Pattern::Span> spans;
  step.pattern->find_all(piece, spans);
  if (spans.empty() && !step.invert) return out.push_back(piece);
  const std::vector<Part> parts = parts_of(spans, piece.size(), step.invert);
  size_t begin = 0;  // of the piece being gathered
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    const bool next_match = i + 1 < parts.size() && parts[i + 1].match;
    bool close = true, drop = false;
    switch (step.behavior) {
      case Behavior::isolated:
        break;
      case Behavior::removed:
        drop = part.match;
        break;
      case Behavior::merged_with_previous:
        close = part.match || !next_match;
        break;
      case Behavior::merged_with_next:
        close = !part.match || next_match;
        break;
      case Behavior::contiguous:
        close = i + 1 == parts.size() || next_match != part.match;
        break;
    }
    if (i + 1 == parts.size()) close = true;
    if (!close) continue;
    if (!drop && part.end > begin) out.push_back(piece.substr(begin, part.end - begin));
    begin = part.end;
  }
}

void PreTokenizer::operator()(std::string_view text, Words& words, bool at_start) const {
  words.pieces.clear();
  words.owned.clear();
  if (text.empty()) return;
  words.pieces.push_back(text);
  std::vector<std::string_view> before;
  for (const Step& step : steps_) {
    before.swap(words.pieces);
    words.pieces.clear();
    if (before.empty()) return;
    for (size_t i = 0; i < before.size(); ++i) {
      if (step.pattern)
        split(step, before[i], words.pieces);
      else
        step.rewrite(at_start && i == 0, before[i], words);
    }
    if (step.pattern) at_start = at_start && !words.pieces.empty() && words.pieces[0].data() == before[0].data();
  }
}

PreTokenizer PreTokenizer::from_json(const Value& json, Bytes bytes) {
  PreTokenizer p;
  p.bytes_ = bytes;
  p.append(json, 0);
  return p;
}

void PreTokenizer::append_byte_level(const Value& json) {
  byte_level_ = true;
  if (json_bool(json, "add_prefix_space", true)) {
    Step step;
    step.rewrite = [](bool, std::string_view piece, Words& out) {
      if (!piece.empty() && piece[0] == ' ') return out.pieces.push_back(piece);
      out.pieces.push_back(out.owned.emplace_back(" " + std::string(piece)));
    };
    add_step(std::move(step));
  }
  if (json_bool(json, "use_regex", true)) add_split(Pattern(kWordSplit), Behavior::isolated);
  if (bytes_ == Bytes::spelled) {
    Step step;
    step.rewrite = [](bool, std::string_view piece, Words& out) {
      out.pieces.push_back(out.owned.emplace_back(rewrites::spell(piece)));
    };
    add_step(std::move(step));
  }
  last_byte_level_ = steps_.size();
}

void PreTokenizer::append_metaspace(const Value& json) {
  const Value* replacement = json.find("replacement");
  const Value* scheme = json.find("prepend_scheme");
  const std::string mark = replacement && replacement->is_string() ? replacement->as_string() : "\xe2\x96\x81";
  std::string when = scheme && scheme->is_string() ? scheme->as_string() : "always";
  if (!json_bool(json, "add_prefix_space", true)) when = "never";
  Step step;
  step.rewrite = [mark, when](bool first, std::string_view piece, Words& out) {
    std::string text;
    for (char c : piece) c == ' ' ? text += mark : text += c;
    const bool wanted = when == "always" || (when == "first" && first);
    if (wanted && text.compare(0, mark.size(), mark) != 0) text = mark + text;
    out.pieces.push_back(out.owned.emplace_back(std::move(text)));
  };
  add_step(std::move(step));
  if (json_bool(json, "split", true)) add_split(Pattern::literal(mark), Behavior::merged_with_next);
}

void PreTokenizer::append_split(const Value& json, Behavior behavior) {
  static const std::pair<std::string_view, DigitGroups> kGroups[] = {
      {R"((?=(\d{3})+(?!\d)))", DigitGroups::before}, {R"(\d{1,3}(?=(?:\d{3})*\b))", DigitGroups::bounded}};
  const bool invert = json_bool(json, "invert", false);
  const Value* regex = json_member(json, "pattern", "pre_tokenizer").find("Regex");
  if (regex && regex->is_string() && behavior == Behavior::isolated && !invert)
    for (const auto& [pattern, how] : kGroups)
      if (regex->as_string() == pattern) return add_digit_groups(how);
  add_split(json_pattern(json, "pre_tokenizer"), behavior, invert);
}

void PreTokenizer::append_fixed_length(const Value& json) {
  const Value* given = json.find("length");
  const int64_t length = given && given->is_int() ? given->as_int() : 5;
  if (length < 1) fail(ErrorCode::bad_model, "[pre_tokenizer] FixedLength of {} characters", length);
  Step step;
  step.rewrite = [length](bool, std::string_view piece, Words& out) {
    for (size_t begin = 0, at = 0; at < piece.size(); begin = at) {
      for (int64_t i = 0; i < length && at < piece.size(); ++i) at += unicode::decode(piece, at).length;
      out.pieces.push_back(piece.substr(begin, at - begin));
    }
  };
  add_step(std::move(step));
}

void PreTokenizer::append(const Value& json, int depth) {
  if (json.is_null()) return;
  if (depth > 16) fail(ErrorCode::bad_model, "[pre_tokenizer] nested deeper than 16");
  const std::string type = json_string(json, "type", "pre_tokenizer");
  const auto behavior = [&](const char* otherwise) {
    const Value* v = json.find("behavior");
    return behavior_of(v && v->is_string() ? v->as_string() : otherwise);
  };
  if (type == "Sequence") {
    for (const Value& v : json_array(json, "pretokenizers", "pre_tokenizer")) append(v, depth + 1);
  } else if (type == "ByteLevel") {
    append_byte_level(json);
  } else if (type == "Split") {
    append_split(json, behavior("Isolated"));
  } else if (type == "Digits") {
    add_split(Pattern(number_expression()),
              json_bool(json, "individual_digits", false) ? Behavior::isolated : Behavior::contiguous);
  } else if (type == "Punctuation") {
    add_split(Pattern(punctuation_expression()), behavior("Isolated"));
  } else if (type == "Whitespace") {
    add_split(Pattern(words_expression()), Behavior::removed, true);
  } else if (type == "WhitespaceSplit") {
    add_split(Pattern(R"(\s)"), Behavior::removed);
  } else if (type == "BertPreTokenizer") {
    add_split(Pattern(R"(\s)"), Behavior::removed);
    add_split(Pattern(punctuation_expression()), Behavior::isolated);
  } else if (type == "Metaspace") {
    append_metaspace(json);
  } else if (type == "CharDelimiterSplit" || type == "Delimiter") {
    add_split(Pattern::literal(json_string(json, "delimiter", "pre_tokenizer")), Behavior::removed);
  } else if (type == "FixedLength") {
    append_fixed_length(json);
  } else {
    fail(ErrorCode::unsupported, "[pre_tokenizer] type '{}'", type);
  }
}

}  // namespace tenon
