// What tokenizer_config.json says beside a vocabulary: the named special tokens, which of them go around a text, and
// further tokens.
#include <string>

#include "base/error.hpp"
#include "text/json_fields.hpp"
#include "text/tokenizer_build.hpp"

namespace tenon {

namespace {

constexpr const char* kPlace = "tokenizer_config.json";

// An explicit flag wins over what goes around a text without it.
void apply_flag(const Value& config, const char* key, int32_t id, std::vector<int32_t>& around, bool front) {
  const Value* flag = config.find(key);
  if (!flag || !flag->is_bool() || id < 0) return;
  const auto at = front ? around.begin() : around.end() - (around.empty() ? 0 : 1);
  const bool there = !around.empty() && *at == id;
  if (flag->as_bool() && !there) around.insert(front ? around.begin() : around.end(), id);
  if (!flag->as_bool() && there) around.erase(at);
}

}  // namespace

// Named special tokens are strings, or objects with "content".
void apply_tokenizer_config(TokenizerBuilder& builder, const Value& config, NamedIds ids) {
  for (const char* name :
       {"bos_token", "eos_token", "pad_token", "unk_token", "cls_token", "sep_token", "mask_token"}) {
    const Value* v = config.find(name);
    if (v && v->is_object()) v = v->find("content");
    if (!v || !v->is_string()) continue;
    const int32_t id = builder.find(v->as_string());
    if (id < 0) continue;
    builder.name_token(name, id);
    if (std::string_view(name) == "bos_token") ids.bos = id;
    if (std::string_view(name) == "eos_token") ids.eos = id;
  }
  builder.set_bos(ids.bos);
  builder.set_eos(ids.eos);
  apply_flag(config, "add_bos_token", ids.bos, builder.prefix(), true);
  apply_flag(config, "add_eos_token", ids.eos, builder.suffix(), false);
}

std::vector<AddedToken> added_tokens_decoder(const Value& config) {
  std::vector<AddedToken> out;
  const Value* decoder = config.find("added_tokens_decoder");
  if (!decoder || !decoder->is_object()) return out;
  for (const auto& [key, entry] : decoder->as_object()) {
    const bool digits = !key.empty() && key.size() < 8 && key.find_first_not_of("0123456789") == std::string::npos;
    if (!digits) fail(ErrorCode::bad_model, "[{}] added_tokens_decoder has the id '{}'", kPlace, key);
    out.push_back(added_token(entry, std::stoi(key), kPlace));
  }
  return out;
}

AddedToken added_token(const Value& entry, int32_t id, const char* place) {
  AddedToken token;
  token.id = id;
  token.content = json_string(entry, "content", place);
  token.special = json_bool(entry, "special", false);
  token.lstrip = json_bool(entry, "lstrip", false);
  token.rstrip = json_bool(entry, "rstrip", false);
  token.single_word = json_bool(entry, "single_word", false);
  return token;
}

}  // namespace tenon
