// Text to ids and conversations to prompts: forwards to the text room.
#include "api/text.hpp"

#include <fstream>

#include "base/error.hpp"
#include "checkpoint/checkpoint.hpp"
#include "text/chat_template.hpp"

namespace tenon::api {
namespace {

std::optional<std::tm> time_of(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(parse_time(text));
}

}  // namespace

/// A file that is no checkpoint, or a folder that holds nothing else to load.
static bool is_bare_tokenizer(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) return !std::filesystem::exists(path / "config.json");
  const std::string extension = path.extension().string();
  if (extension == ".gguf" || extension == ".safetensors" || path.filename() == "config.json") return false;
  char magic[4] = {};
  std::ifstream(path, std::ios::binary).read(magic, sizeof magic);
  return std::string_view(magic, sizeof magic) != "GGUF";
}

Text Text::load(const std::filesystem::path& path, const BareOptions& options) {
  Text text;
  if (is_bare_tokenizer(path)) {
    text.tokenizer_ = Tokenizer::from_file(path, options);
    return text;
  }
  for (const auto& [flag, given] :
       {std::pair{"--pre", !options.pre.empty()}, {"--special", !options.special.empty()}, {"--nfc", options.nfc}})
    if (given) fail(ErrorCode::usage, "[{}] {} is no bare vocabulary file", flag, path.string());
  const auto checkpoint = Checkpoint::open(path);
  return of(*checkpoint, Tokenizer::from_checkpoint(*checkpoint));
}

Text Text::of(const Checkpoint& checkpoint, std::shared_ptr<const Tokenizer> tokenizer) {
  Text text;
  text.template_ = std::make_shared<ChatTemplate>(ChatTemplate::from_checkpoint(checkpoint, *tokenizer));
  text.tokenizer_ = std::move(tokenizer);
  return text;
}

bool Text::has_chat_template() const { return template_ && template_->has_template(); }

std::vector<int32_t> Text::encode(std::string_view text, const EncodeOptions& options) const {
  return tokenizer_->encode(text, options);
}

std::string Text::decode(std::span<const int32_t> ids, bool skip_special) const {
  return tokenizer_->decode(ids, skip_special);
}

MarkedText Text::render_marked(const Value& messages, const RenderOptions& options) const {
  if (!template_) fail(ErrorCode::unsupported, "[render] a vocabulary alone has no chat template");
  tenon::RenderOptions o;
  o.add_generation_prompt = options.generation_prompt;
  o.now = time_of(options.now);
  o.template_name = options.template_name;
  o.template_source = options.template_source;
  o.documents = options.documents;
  if (options.kwargs.is_object()) o.extra = options.kwargs;
  return template_->render_marked(messages, options.tools.value_or(Value()), o);
}

std::string Text::render(const Value& messages, const RenderOptions& options) const {
  return render_marked(messages, options).text;
}

std::string Text::template_source(const RenderOptions& options) const {
  if (!options.template_source.empty()) return options.template_source;
  if (!has_chat_template()) return {};
  const bool tools = options.tools && options.tools->is_array() && !options.tools->as_array().empty();
  const std::string* source = tools && options.template_name.empty() ? template_->source("tool_use") : nullptr;
  if (!source) source = template_->source(options.template_name);
  return source ? *source : std::string();
}

// Markers are often special tokens, so all of them are spelled.
output::Message Text::message(std::span<const int32_t> answer, const RenderOptions& render,
                              std::string_view prompt) const {
  output::ParserOptions options{.tools = render.tools.value_or(Value()), .prompt = std::string(prompt)};
  return output::parse_output(template_source(render), decode(answer), options);
}

std::vector<int32_t> Text::render_ids(const Value& messages, const RenderOptions& options) const {
  const MarkedText prompt = render_marked(messages, options);
  std::vector<int32_t> ids =
      encode(prompt.text, {.add_special = false, .parse_special = true, .special_within = &prompt.trusted});
  if (tokenizer_->add_bos() && (ids.empty() || ids.front() != *tokenizer_->bos_id()))
    ids.insert(ids.begin(), *tokenizer_->bos_id());
  return ids;
}

std::string render_template(std::string_view source, const Value& context, const std::string& now) {
  return tenon::render_template(source, context, time_of(now));
}

}  // namespace tenon::api
