// Any bytes as a tiktoken file (bare, and of a checkpoint), a tekken.json or an rwkv_vocab_*.txt: an error, or a
// tokenizer whose ids are its own and add up to the text.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.hpp"
#include "text/tokenizer_build.hpp"

using namespace tenon;

namespace {

template <typename Load>
void check(const Load& load) {
  try {
    const auto t = load();
    for (const std::string_view text : {"", "Hello  world 123", "\xc3\xa9\xff<s>\n\n", "[INST]<|reserved_token_3|>"}) {
      const auto ids = t->encode(text, {false, true});
      for (const int32_t id : ids)
        if (id < 0 || id >= t->size()) std::abort();
      if (t->decode(ids) != text) std::abort();
    }
    const int32_t last[] = {t->size() - 1};
    t->decode(last);
  } catch (const Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static const Value config = parse_json(
      R"({"tokenizer_class":"TikTokenTokenizer","bos_token":"[BOS]","added_tokens_decoder":{"256":{"content":"[BOS]"}}})",
      "fuzz");
  if (!bytes.empty() && bytes[0] == '{') {
    check([&] { return tokenizer_from_tekken(parse_json(bytes, "fuzz"), "tekken.json", &config, {}); });
  } else if (is_rank_file(bytes)) {
    check([&] { return tokenizer_from_ranks(bytes, "fuzz.tiktoken", BareOptions{.pre = "gpt-2"}); });
    check([&] { return tokenizer_from_ranks(bytes, "tiktoken.model", &config, {}); });
  } else {
    check([&] { return tokenizer_from_rwkv(bytes, "rwkv_vocab_1.txt", &config, {}); });
  }
  return 0;
}
