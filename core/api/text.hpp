// Tokenizer and chat template of a model, or of a vocabulary file alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.hpp"
#include "text/output/parser.hpp"
#include "text/tokenizer.hpp"

namespace tenon {
class ChatTemplate;
}  // namespace tenon

namespace tenon::api {

using tenon::BareOptions;
using tenon::EncodeOptions;

struct RenderOptions {
  std::optional<Value> tools = {};  // JSON array of tool definitions
  bool generation_prompt = true;
  std::string now = {};              // "2026-11-23 12:00:00"; empty: the clock
  Value documents = {};              // JSON array, or null
  Value kwargs = {};                 // JSON object: further variables of the template ("enable_thinking"), or null
  std::string template_name = {};    // a named variant; empty chooses
  std::string template_source = {};  // this one in place of the model's
};

class Text {
 public:
  /// A model (directory, GGUF, also vocabulary-only) or a bare vocabulary file, which alone has use for `options`.
  static Text load(const std::filesystem::path& path, const BareOptions& options = {});
  static Text of(const Checkpoint& checkpoint, std::shared_ptr<const Tokenizer> tokenizer);

  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const;
  /// The exact bytes of these ids, special tokens as they are spelled.
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;

  bool has_chat_template() const;
  /// The prompt of a conversation; Error{unsupported} when there is no template.
  std::string render(const Value& messages, const RenderOptions& options) const;
  /// `render` in ids. Special tokens are those that the template wrote: none that a message or a tool spells. Begins
  /// with bos where the model wants it and the template has not written it.
  std::vector<int32_t> render_ids(const Value& messages, const RenderOptions& options) const;

  /// The template that a conversation is rendered by; empty when there is none.
  std::string template_source(const RenderOptions& options) const;
  /// An answer taken apart by the formats that the template mentions. `prompt`: what it continues, as text.
  output::Message message(std::span<const int32_t> answer, const RenderOptions& options, std::string_view prompt) const;

  std::shared_ptr<const Tokenizer> tokenizer() const { return tokenizer_; }

 private:
  MarkedText render_marked(const Value& messages, const RenderOptions& options) const;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const ChatTemplate> template_;
};

/// Renders any template over the members of `context` as its variables.
std::string render_template(std::string_view source, const Value& context, const std::string& now);

}  // namespace tenon::api
