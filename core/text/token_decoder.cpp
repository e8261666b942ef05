// The chain of steps, and tokenizer.json's descriptions of them.
#include "text/token_decoder.hpp"

#include "base/error.hpp"
#include "text/json_fields.hpp"
#include "text/unicode.hpp"

namespace tenon {

namespace {

constexpr const char* kPlace = "decoder";

size_t json_count(const Value& json, std::string_view key) {
  const Value& v = json_member(json, key, kPlace);
  if (!v.is_int() || v.as_int() < 0 || v.as_int() > 4096)
    fail(ErrorCode::bad_model, "[decoder] member '{}' is no number in 0..4096", key);
  return static_cast<size_t>(v.as_int());
}

std::string json_character(const Value& json, std::string_view key) {
  const std::string text = json_string(json, key, kPlace);
  if (unicode::length(text) != 1)
    fail(ErrorCode::bad_model, "[decoder] member '{}' is '{}', not a character", key, text);
  return text;
}

TokenDecoder::Maker metaspace_of(const Value& json) {
  const Value* scheme = json.find("prepend_scheme");
  const bool never = scheme && scheme->is_string() && scheme->as_string() == "never";
  return decoder_steps::metaspace(json_character(json, "replacement"),
                                  !never && json_bool(json, "add_prefix_space", true));
}

TokenDecoder::Maker replace_of(const Value& json) {
  const std::string content = json_string(json, "content", kPlace);
  const Value* text = json_member(json, "pattern", kPlace).find("String");
  if (text && text->is_string() && !text->as_string().empty())
    return decoder_steps::replace(text->as_string(), content);
  return decoder_steps::replace(json_pattern(json, kPlace), content);
}

}  // namespace

TokenDecoder TokenDecoder::from_json(const Value& json) {
  TokenDecoder decoder;
  if (json.is_null())
    decoder.add(decoder_steps::join(" "));
  else
    decoder.append(json, 0);
  return decoder;
}

void TokenDecoder::add(Maker maker) {
  constexpr size_t kMaxSteps = 64;
  if (makers_.size() == kMaxSteps) fail(ErrorCode::bad_model, "[decoder] more than {} steps", kMaxSteps);
  makers_.push_back(std::move(maker));
}

void TokenDecoder::append(const Value& json, int depth) {
  if (depth > 16) fail(ErrorCode::bad_model, "[decoder] nested deeper than 16");
  const std::string type = json_string(json, "type", kPlace);
  if (type == "Sequence") {
    for (const Value& d : json_array(json, "decoders", kPlace)) append(d, depth + 1);
  } else if (type == "ByteLevel") {
    add(decoder_steps::byte_level());
  } else if (type == "ByteFallback") {
    add(decoder_steps::byte_fallback());
  } else if (type == "Fuse") {
    add(decoder_steps::fuse());
  } else if (type == "Replace") {
    add(replace_of(json));
  } else if (type == "Strip") {
    add(decoder_steps::strip(json_character(json, "content"), json_count(json, "start"), json_count(json, "stop")));
  } else if (type == "Metaspace") {
    add(metaspace_of(json));
  } else if (type == "WordPiece") {
    add(decoder_steps::word_piece(json_string(json, "prefix", kPlace), json_bool(json, "cleanup", true)));
  } else if (type == "BPEDecoder") {
    add(decoder_steps::word_suffix(json_string(json, "suffix", kPlace)));
  } else {
    fail(ErrorCode::unsupported, "[decoder] type '{}'", type);
  }
}

TokenDecoder::Run::Run(const TokenDecoder& decoder) {
  for (const Maker& make : decoder.makers_) steps_.push_back(make());
}

std::string TokenDecoder::Run::pass(size_t first, DecoderStep::Parts parts) {
  DecoderStep::Parts next;
  for (size_t i = first; i < steps_.size(); ++i) {
    next.clear();
    for (DecoderStep::Part& part : parts) steps_[i]->feed(std::move(part), next);
    parts.swap(next);
  }
  std::string out;
  for (const DecoderStep::Part& part : parts) out += part.text;
  return out;
}

std::string TokenDecoder::Run::feed(std::string_view token) { return pass(0, {{std::string(token)}}); }

std::string TokenDecoder::Run::finish() {
  std::string out;
  for (size_t i = 0; i < steps_.size(); ++i) {
    DecoderStep::Parts held;
    steps_[i]->finish(held);
    out += pass(i + 1, std::move(held));
  }
  return out;
}

}  // namespace tenon
