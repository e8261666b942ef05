// A tokenizer from vocab.json and merges.txt, the two files of byte-level BPE before there was tokenizer.json: what
// that file would say is put together from them and from the class that tokenizer_config.json names (table
// bpe_classes.def).
#include <algorithm>

#include "base/error.hpp"
#include "text/json_fields.hpp"
#include "text/tokenizer_build.hpp"

namespace tenon {

namespace {

struct BpeClass {
  std::string_view name;
  const char* pre;
  bool nfc, around;
};
constexpr BpeClass kClasses[] = {
#define BPE_CLASS(NAME, PRE, NFC, AROUND) {NAME, PRE, NFC, AROUND},
#include "text/bpe_classes.def"
#undef BPE_CLASS
};

const BpeClass& known_class(const Value* config) {
  const Value* v = config ? config->find("tokenizer_class") : nullptr;
  if (!v || !v->is_string())
    fail(ErrorCode::unsupported,
         "[tokenizer] vocab.json and merges.txt, but no tokenizer_class that says their pattern");
  std::string_view name = v->as_string();
  if (name.ends_with("Fast")) name.remove_suffix(4);
  const auto* const row = std::ranges::find(kClasses, name, &BpeClass::name);
  if (row == std::end(kClasses))
    fail(ErrorCode::unsupported, "[tokenizer] tokenizer_class '{}', whose pattern for vocab.json is not known", name);
  return *row;
}

Value::Array merge_lines(std::string_view text) {
  Value::Array merges;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    const bool header = at == 0 && line.starts_with("#version");
    at = end + 1;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (!line.empty() && !header) merges.emplace_back(line);
  }
  return merges;
}

// Those with ids of their own, and the named special tokens of the vocabulary.
Value::Array added_tokens(const Value& vocab, const Value& config) {
  Value::Array added;
  std::vector<std::string> seen;
  const auto add = [&](int64_t id, const std::string& content, Value::Object flags) {
    if (std::ranges::find(seen, content) != seen.end()) return;
    seen.push_back(content);
    flags.emplace_back("id", id);
    flags.emplace_back("content", content);
    added.emplace_back(std::move(flags));
  };
  for (const AddedToken& t : added_tokens_decoder(config))
    add(t.id, t.content,
        {{"special", t.special}, {"lstrip", t.lstrip}, {"rstrip", t.rstrip}, {"single_word", t.single_word}});
  for (const char* name :
       {"bos_token", "eos_token", "pad_token", "unk_token", "cls_token", "sep_token", "mask_token"}) {
    const Value* v = config.find(name);
    if (v && v->is_object()) v = v->find("content");
    const Value* id = v && v->is_string() ? vocab.find(v->as_string()) : nullptr;
    if (id && id->is_int()) add(id->as_int(), v->as_string(), {{"special", true}});
  }
  return added;
}

Value pre_tokenizer(const BpeClass& row, const Value& config) {
  const bool own = std::string_view(row.pre) == "gpt-2";  // ByteLevel's own pattern
  Value byte_level(Value::Object{
      {"type", "ByteLevel"}, {"add_prefix_space", json_bool(config, "add_prefix_space", false)}, {"use_regex", own}});
  if (own) return byte_level;
  Value::Array steps;
  for (const char* pattern : pre_patterns(row.pre))
    steps.emplace_back(
        Value::Object{{"type", "Split"}, {"pattern", Value::Object{{"Regex", pattern}}}, {"behavior", "Isolated"}});
  steps.push_back(std::move(byte_level));
  return Value(Value::Object{{"type", "Sequence"}, {"pretokenizers", std::move(steps)}});
}

Value post_processor(const Value& vocab) {
  const auto pair = [&](const char* token) { return Value::Array{token, json_member(vocab, token, "vocab.json")}; };
  return Value(Value::Object{{"type", "RobertaProcessing"}, {"sep", pair("</s>")}, {"cls", pair("<s>")}});
}

}  // namespace

std::shared_ptr<const Tokenizer> tokenizer_from_merges(const Value& vocab, std::string_view merges, const Value* config,
                                                       const BareOptions& options) {
  const BpeClass& row = known_class(config);
  const Value model(Value::Object{{"type", "BPE"}, {"vocab", vocab}, {"merges", merge_lines(merges)}});
  const Value json(Value::Object{{"normalizer", row.nfc ? Value(Value::Object{{"type", "NFC"}}) : Value()},
                                 {"pre_tokenizer", pre_tokenizer(row, *config)},
                                 {"decoder", Value::Object{{"type", "ByteLevel"}}},
                                 {"post_processor", row.around ? post_processor(vocab) : Value()},
                                 {"added_tokens", added_tokens(vocab, *config)},
                                 {"model", model}});
  return tokenizer_from_json(json, config, options);
}

}  // namespace tenon
