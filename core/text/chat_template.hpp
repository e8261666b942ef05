// Chat templates: from messages to the prompt text, by the Jinja template that a checkpoint brings.
#pragma once

#include <ctime>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.hpp"
#include "checkpoint/checkpoint.hpp"
#include "text/marked_text.hpp"
#include "text/tokenizer.hpp"

namespace tenon {

namespace jinja {
class Template;
}

struct RenderOptions {
  bool add_generation_prompt = true;
  std::optional<std::tm> now;            // what strftime_now sees; the local time otherwise
  std::string template_name = {};        // a named variant ("tool_use"); empty chooses
  std::string template_source = {};      // this one in place of the checkpoint's
  Value documents = {};                  // an array, or null
  Value extra = Value(Value::Object{});  // further variables ("enable_thinking"); they win over the standard ones
};

class ChatTemplate {
 public:
  /// The templates of a checkpoint: GGUF tokenizer.chat_template[.NAME]; chat_template.jinja, tokenizer_config.json,
  /// chat_template.json of a directory. A broken template is found when it is rendered.
  static ChatTemplate from_checkpoint(const Checkpoint& checkpoint, const Tokenizer& tokenizer);

  bool has_template() const { return !sources_.empty(); }
  /// Names of the variants; "default" is the unnamed one.
  std::vector<std::string> names() const;
  /// The source of a variant (empty: the default one); nullptr when there is none.
  const std::string* source(std::string_view name = {}) const;

  /// The prompt. `messages` is an array of objects as the OpenAI API has them, `tools` an array or null. With tools, a
  /// "tool_use" variant is preferred. Error{unsupported} without a template; Error{bad_model, "[template] line N:
  /// ..."}.
  std::string render(const Value& messages, const Value& tools, const RenderOptions& options = {}) const {
    return render_marked(messages, tools, options).text;
  }
  /// The same, with what of it no message, tool or option can have written: special tokens count only there.
  MarkedText render_marked(const Value& messages, const Value& tools, const RenderOptions& options = {}) const;

 private:
  MarkedText render_shape(const jinja::Template& parsed, const Value& messages, const Value& tools,
                          const RenderOptions& options) const;
  std::map<std::string, std::string, std::less<>> sources_;
  std::map<std::string, std::string> special_tokens_;
};

/// Renders any template with the members of `context` as its variables.
std::string render_template(std::string_view source, const Value& context, const std::optional<std::tm>& now = {});

/// "2026-11-23 12:00:00" as a time; Error{usage} otherwise.
std::tm parse_time(std::string_view text);

}  // namespace tenon
