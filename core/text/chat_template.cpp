// Finding a checkpoint's templates and giving them the variables they expect.
#include "text/chat_template.hpp"

#include <algorithm>
#include <cstdio>
#include <set>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "text/jinja/ast.hpp"
#include "text/jinja/template.hpp"
#include "text/message_shapes.hpp"

namespace tenon {

namespace {

constexpr size_t kMaxTemplate = size_t{4} << 20;
constexpr std::string_view kGgufKey = "tokenizer.chat_template";

using Sources = std::map<std::string, std::string, std::less<>>;

std::tm local_now() {
  const std::time_t t = std::time(nullptr);
  std::tm out{};
  localtime_r(&t, &out);
  return out;
}

/// A template's source, or what a name stands for.
std::string source_of(const std::string& text) {
  static constexpr std::pair<std::string_view, std::string_view> kBuiltin[] = {
#define TEMPLATE(NAME, SOURCE) {NAME, SOURCE},
#include "text/builtin_templates.def"
#undef TEMPLATE
  };
  for (const auto& [name, source] : kBuiltin)
    if (text == name) return std::string(source);
  return text;
}

void from_gguf(const Checkpoint& checkpoint, Sources& out) {
  if (!checkpoint.metadata().is_object()) return;
  for (const auto& [key, value] : checkpoint.metadata().as_object()) {
    if (!value.is_string() || key.compare(0, kGgufKey.size(), kGgufKey) != 0) continue;
    if (key.size() == kGgufKey.size())
      out["default"] = source_of(value.as_string());
    else if (key[kGgufKey.size()] == '.')
      out[key.substr(kGgufKey.size() + 1)] = value.as_string();
  }
}

// A string, or a list of {name, template}.
void from_config(const Value* file, Sources& out) {
  const Value* v = file ? file->find("chat_template") : nullptr;
  if (!v) return;
  if (v->is_string()) out["default"] = source_of(v->as_string());
  if (!v->is_array()) return;
  for (const Value& entry : v->as_array()) {
    const Value *name = entry.find("name"), *text = entry.find("template");
    if (name && name->is_string() && text && text->is_string()) out[name->as_string()] = text->as_string();
  }
}

void from_directory(const Checkpoint& checkpoint, Sources& out) {
  from_config(checkpoint.side_json("tokenizer_config.json"), out);
  from_config(checkpoint.side_json("chat_template.json"), out);
  const std::filesystem::path directory = checkpoint.path();
  const std::filesystem::path file = directory / "chat_template.jinja";
  if (std::filesystem::exists(file)) out["default"] = read_file(file, kMaxTemplate);
  const std::filesystem::path more = directory / "additional_chat_templates";
  std::error_code error;
  for (std::filesystem::directory_iterator it(more, error), end; !error && it != end; it.increment(error))
    if (it->path().extension() == ".jinja") out[it->path().stem().string()] = read_file(it->path(), kMaxTemplate);
}

}  // namespace

ChatTemplate ChatTemplate::from_checkpoint(const Checkpoint& checkpoint, const Tokenizer& tokenizer) {
  ChatTemplate t;
  t.special_tokens_ = tokenizer.special_tokens();
  if (checkpoint.format() == Format::gguf)
    from_gguf(checkpoint, t.sources_);
  else
    from_directory(checkpoint, t.sources_);
  return t;
}

std::vector<std::string> ChatTemplate::names() const {
  std::vector<std::string> out;
  for (const auto& [name, source] : sources_) out.push_back(name);
  return out;
}

const std::string* ChatTemplate::source(std::string_view name) const {
  const auto it = sources_.find(name.empty() ? std::string_view("default") : name);
  if (it != sources_.end()) return &it->second;
  return name.empty() && !sources_.empty() ? &sources_.begin()->second : nullptr;
}

MarkedText ChatTemplate::render_marked(const Value& messages, const Value& tools, const RenderOptions& options) const {
  const bool with_tools = tools.is_array() && !tools.as_array().empty();
  const std::string* text = options.template_source.empty() ? nullptr : &options.template_source;
  if (!text && !has_template()) fail(ErrorCode::unsupported, "[template] the checkpoint has no chat template");
  if (!text && with_tools && options.template_name.empty()) text = source("tool_use");
  if (!text) text = source(options.template_name);
  if (!text) fail(ErrorCode::usage, "[template] no variant is named '{}'", options.template_name);
  const jinja::Template parsed(*text);
  const std::vector<Value> shapes = message_shapes(messages, *text);
  for (size_t i = 0;; ++i) {
    try {
      return render_shape(parsed, shapes[i], with_tools ? tools : Value(), options);
    } catch (const Error&) {
      if (i + 1 == shapes.size()) throw;  // of the messages as they were given
    }
  }
}

MarkedText ChatTemplate::render_shape(const jinja::Template& parsed, const Value& messages, const Value& tools,
                                      const RenderOptions& options) const {
  Value::Object context;
  const auto set = [&](const std::string& name, Value value) {
    const auto it = std::find_if(context.begin(), context.end(), [&](const auto& m) { return m.first == name; });
    if (it == context.end())
      context.emplace_back(name, std::move(value));
    else
      it->second = std::move(value);
  };
  std::set<std::string, std::less<>> own;  // variables that are no user's
  for (const auto& [name, token] : special_tokens_) {
    set(name, token);
    own.insert(name);
  }
  set("messages", messages);
  set("tools", tools);
  set("documents", options.documents);
  set("add_generation_prompt", options.add_generation_prompt);
  if (options.extra.is_object())
    for (const auto& [name, value] : options.extra.as_object()) {
      set(name, value);
      own.erase(name);
    }
  return parsed.render_marked(Value(std::move(context)), options.now ? *options.now : local_now(), own);
}

std::string render_template(std::string_view source, const Value& context, const std::optional<std::tm>& now) {
  // `generation` is an extension of chat rendering, whose contexts always say add_generation_prompt.
  const jinja::Dialect dialect{.generation_tag = context.find("add_generation_prompt") != nullptr};
  return jinja::Template(source, dialect).render(context, now ? *now : local_now());
}

std::tm parse_time(std::string_view text) {
  std::tm t{};
  char rest = 0;
  const std::string copy(text);
  const int n = std::sscanf(copy.c_str(), "%4d-%2d-%2d %2d:%2d:%2d%c", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour,
                            &t.tm_min, &t.tm_sec, &rest);
  const bool valid = (n == 6 || n == 3) && t.tm_mon >= 1 && t.tm_mon <= 12 && t.tm_mday >= 1 && t.tm_mday <= 31 &&
                     t.tm_hour >= 0 && t.tm_hour < 24 && t.tm_min >= 0 && t.tm_min < 60 && t.tm_sec >= 0 &&
                     t.tm_sec <= 60;
  if (!valid) fail(ErrorCode::usage, "[template] '{}' is no time like 2026-11-23 12:00:00", text);
  t.tm_year -= 1900;
  t.tm_mon -= 1;
  t.tm_isdst = -1;
  std::mktime(&t);  // fills in the day of the week and of the year
  return t;
}

}  // namespace tenon
