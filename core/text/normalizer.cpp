// tokenizer.json normalizers, each a function from text to text.
#include "base/error.hpp"
#include "text/json_fields.hpp"
#include "text/pretokenizer.hpp"
#include "text/text_replace.hpp"
#include "text/unicode.hpp"

namespace tenon {

namespace {

std::string strip(std::string_view text, bool left, bool right) {
  size_t begin = 0, end = 0;
  bool seen = false;
  for (size_t at = 0; at < text.size();) {
    const unicode::Decoded d = unicode::decode(text, at);
    at += d.length;
    if (d.code >= 0 && unicode::is_space(d.code)) {
      if (!seen) begin = at;
    } else {
      seen = true;
      end = at;
    }
  }
  if (!left) begin = 0;
  if (!right) end = text.size();
  return std::string(text.substr(begin, end > begin ? end - begin : 0));
}

std::string strip_accents(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const unicode::Decoded d = unicode::decode(text, at);
    if (d.code < 0 || !unicode::is_mark(d.code)) out += text.substr(at, d.length);
    at += d.length;
  }
  return out;
}

}  // namespace

std::string Normalizer::operator()(std::string_view text) const {
  std::string out(text);
  for (const auto& step : steps_) out = step(out);
  return out;
}

Normalizer Normalizer::from_json(const Value& json) {
  Normalizer n;
  n.append(json, 0);
  return n;
}

void Normalizer::append(const Value& json, int depth) {
  if (json.is_null()) return;
  if (depth > 16) fail(ErrorCode::bad_model, "[normalizer] nested deeper than 16");
  const std::string type = json_string(json, "type", "normalizer");
  static const std::pair<const char*, unicode::Form> kForms[] = {{"NFC", unicode::Form::nfc},
                                                                 {"NFD", unicode::Form::nfd},
                                                                 {"NFKC", unicode::Form::nfkc},
                                                                 {"NFKD", unicode::Form::nfkd}};
  for (const auto& [name, form] : kForms)
    if (type == name) return add([form = form](std::string_view s) { return unicode::normalize(s, form); });
  if (type == "Sequence") {
    for (const Value& v : json_array(json, "normalizers", "normalizer")) append(v, depth + 1);
  } else if (type == "Lowercase") {
    add([](std::string_view s) { return unicode::to_lower(s); });
  } else if (type == "StripAccents") {
    add([](std::string_view s) { return strip_accents(s); });
  } else if (type == "Strip") {
    const bool left = json_bool(json, "strip_left", true), right = json_bool(json, "strip_right", true);
    add([left, right](std::string_view s) { return strip(s, left, right); });
  } else if (type == "Prepend") {
    add([prefix = json_string(json, "prepend", "normalizer")](std::string_view s) {
      return s.empty() ? std::string() : prefix + std::string(s);
    });
  } else if (type == "Replace") {
    add([pattern = json_pattern(json, "normalizer"), content = json_string(json, "content", "normalizer")](
            std::string_view s) { return replace_all(pattern, content, s); });
  } else {
    fail(ErrorCode::unsupported, "[normalizer] type '{}'", type);
  }
}

}  // namespace tenon
