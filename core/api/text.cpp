// Text to ids and conversations to prompts: forwards to the text room.
#include "api/text.hpp"

#include "base/error.hpp"
#include "checkpoint/checkpoint.hpp"

namespace tenon::api {

Text Text::load(const std::filesystem::path& path) {
  if (path.extension() != ".json") return of(*Checkpoint::open(path));
  Text text;
  text.tokenizer_ = Tokenizer::from_file(path);
  return text;
}

Text Text::of(const Checkpoint& checkpoint) {
  Text text;
  text.tokenizer_ = Tokenizer::from_checkpoint(checkpoint);
  return text;
}

std::vector<int32_t> Text::encode(std::string_view text, const EncodeOptions& options) const {
  return tokenizer_->encode(text, options);
}

std::string Text::decode(std::span<const int32_t> ids, bool skip_special) const {
  return tokenizer_->decode(ids, skip_special);
}

std::string Text::render(const Value&, const RenderOptions&) const {
  fail(ErrorCode::unsupported, "[render] the model has no chat template");
}

std::vector<int32_t> Text::render_ids(const Value& messages, const RenderOptions& options) const {
  return encode(render(messages, options), {.add_special = false, .parse_special = true});
}

std::string render_template(std::string_view, const Value&, const std::string&) {
  fail(ErrorCode::unsupported, "[render] templates are not built in");
}

}  // namespace tenon::api
