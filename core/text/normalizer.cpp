// tokenizer.json normalizers, each a function from text to text.
#include "text/normalizer.hpp"

#include "base/error.hpp"
#include "text/base64.hpp"
#include "text/charsmap.hpp"
#include "text/json_fields.hpp"
#include "text/rewrites.hpp"
#include "text/text_replace.hpp"
#include "text/unicode.hpp"

namespace tenon {

namespace {

constexpr const char* kPlace = "normalizer";
constexpr size_t kMaxText = size_t{1} << 30;

Normalizer::Step replace_of(const Value& json) {
  return [pattern = json_pattern(json, kPlace), content = json_string(json, "content", kPlace)](std::string_view text,
                                                                                                bool& at_start) {
    std::vector<Pattern::Span> spans;
    pattern.find_all(text, spans);
    // What several characters become counts as the last of them.
    if (!spans.empty() && spans.front().first == 0)
      at_start = at_start && !content.empty() && spans.front().second <= unicode::decode(text, 0).length;
    return replace_all(pattern, content, text);
  };
}

Normalizer::Rewrite precompiled_of(const Value& json) {
  const auto blob = decode_base64(json_string(json, "precompiled_charsmap", kPlace));
  if (!blob) fail(ErrorCode::bad_model, "[normalizer] precompiled_charsmap is no base64");
  return [map = std::make_shared<const Charsmap>(*blob, kPlace)](std::string_view text) {
    return map->rewrite_graphemes(text);
  };
}

}  // namespace

std::string Normalizer::operator()(std::string_view text) const {
  bool at_start = true;
  return (*this)(text, at_start);
}

std::string Normalizer::operator()(std::string_view text, bool& at_start) const {
  std::string out(text);
  for (const auto& step : steps_) out = step(out, at_start);
  return out;
}

void Normalizer::add_step(Step step) {
  constexpr size_t kMaxSteps = 64;
  if (steps_.size() == kMaxSteps) fail(ErrorCode::bad_model, "[normalizer] more than {} steps", kMaxSteps);
  steps_.push_back(std::move(step));
}

Normalizer Normalizer::from_json(const Value& json) {
  Normalizer n;
  n.append(json, 0);
  return n;
}

void Normalizer::append_bert(const Value& json) {
  const bool lowercase = json_bool(json, "lowercase", true);
  if (json_bool(json, "clean_text", true)) add_step(rewrites::clean_text);
  if (json_bool(json, "handle_chinese_chars", true)) add(rewrites::isolate_ideographs);
  if (json_bool(json, "strip_accents", lowercase)) {
    add([](std::string_view s) { return unicode::normalize(s, unicode::Form::nfd); });
    add_step(rewrites::without_nonspacing_marks);
  }
  if (lowercase) add(rewrites::lower);
}

void Normalizer::append(const Value& json, int depth) {
  if (json.is_null()) return;
  if (depth > 16) fail(ErrorCode::bad_model, "[normalizer] nested deeper than 16");
  const std::string type = json_string(json, "type", kPlace);
  static const std::pair<const char*, unicode::Form> kForms[] = {{"NFC", unicode::Form::nfc},
                                                                 {"NFD", unicode::Form::nfd},
                                                                 {"NFKC", unicode::Form::nfkc},
                                                                 {"NFKD", unicode::Form::nfkd}};
  for (const auto& [name, form] : kForms)
    if (type == name) return add([form = form](std::string_view s) { return unicode::normalize(s, form); });
  if (type == "Sequence") {
    for (const Value& v : json_array(json, "normalizers", kPlace)) append(v, depth + 1);
  } else if (type == "Lowercase") {
    add(rewrites::lower);
  } else if (type == "StripAccents") {
    add_step(rewrites::without_marks);
  } else if (type == "BertNormalizer") {
    append_bert(json);
  } else if (type == "Nmt") {
    add_step(rewrites::nmt);
  } else if (type == "ByteLevel") {
    add(rewrites::spell);
  } else if (type == "Precompiled") {
    add(precompiled_of(json));
  } else if (type == "Strip") {
    add_step([left = json_bool(json, "strip_left", true), right = json_bool(json, "strip_right", true)](
                 std::string_view s, bool& at_start) { return rewrites::strip(s, left, right, at_start); });
  } else if (type == "Prepend") {
    add([prefix = json_string(json, "prepend", kPlace)](std::string_view s) {
      if (prefix.size() + s.size() > kMaxText)
        fail(ErrorCode::capacity, "[normalizer] text exceeds {} bytes", kMaxText);
      return s.empty() ? std::string() : prefix + std::string(s);
    });
  } else if (type == "Replace") {
    add_step(replace_of(json));
  } else {
    fail(ErrorCode::unsupported, "[normalizer] type '{}'", type);
  }
}

}  // namespace tenon
