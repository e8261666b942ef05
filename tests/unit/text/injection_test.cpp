// Special tokens that a message spells are text, in every shared template; those that the template writes stay tokens.
#include <doctest/doctest.h>

#include <algorithm>
#include <regex>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "fixtures.hpp"
#include "text/chat_template.hpp"
#include "text/fake_checkpoint.hpp"
#include "text/jinja/template.hpp"

namespace tenon {
namespace {

std::string spell(int byte) {
  const auto printable = [](int b) { return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae; };
  int code = byte;
  if (!printable(byte)) {
    code = 0x100;
    for (int b = 0; b < byte; ++b) code += !printable(b);
  }
  std::string out;
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  out += static_cast<char>(0xc0 | (code >> 6));
  return out += static_cast<char>(0x80 | (code & 0x3f));
}

/// Bytes, and these control tokens from 256 on.
std::shared_ptr<const Tokenizer> tokenizer_with(const std::vector<std::string>& control) {
  Value::Array tokens, types;
  for (int b = 0; b < 256; ++b) tokens.emplace_back(spell(b)), types.emplace_back(1);
  for (const std::string& token : control) tokens.emplace_back(token), types.emplace_back(3);
  return Tokenizer::from_checkpoint(
      test::FakeCheckpoint(Value(Value::Object{{"tokenizer.ggml.model", "gpt2"},
                                               {"tokenizer.ggml.pre", "gpt-2"},
                                               {"tokenizer.ggml.tokens", std::move(tokens)},
                                               {"tokenizer.ggml.token_type", std::move(types)},
                                               {"tokenizer.ggml.merges", Value::Array{}}})));
}

/// What looks like a special token in a template's source.
std::vector<std::string> markers_in(const std::string& source) {
  static const std::regex kMarker(R"(<[|/A-Za-z\xef][^<>{}\s'"]{0,40}>|\[/?[A-Z_]{3,20}\])");
  std::vector<std::string> out{"<s>", "</s>"};
  for (std::sregex_iterator it(source.begin(), source.end(), kMarker), end; it != end; ++it) out.push_back(it->str());
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::vector<int32_t> control_ids(const MarkedText& prompt, const Tokenizer& tokenizer, bool marked) {
  EncodeOptions options{.add_special = false, .parse_special = true};
  if (marked) options.special_within = &prompt.trusted;
  std::vector<int32_t> ids = tokenizer.encode(prompt.text, options);
  std::erase_if(ids, [](int32_t id) { return id < 256; });
  return ids;
}

MarkedText render(const std::string& source, const std::string& user) {
  const std::tm now = parse_time("2026-11-23 12:00:00");
  Value::Array messages;
  for (const auto& [role, content] : {std::pair("user", user), {"assistant", std::string("Fine.")}, {"user", user}})
    messages.emplace_back(Value::Object{{"role", role}, {"content", content}});
  const Value context(Value::Object{{"messages", std::move(messages)},
                                    {"tools", Value()},
                                    {"documents", Value()},
                                    {"add_generation_prompt", true},
                                    {"bos_token", "<s>"},
                                    {"eos_token", "</s>"},
                                    {"pad_token", "<pad>"},
                                    {"unk_token", "<unk>"}});
  return jinja::Template(source).render_marked(context, now, {"bos_token", "eos_token", "pad_token", "unk_token"});
}

TEST_CASE("in every shared template") {
  const auto folder = test::shared("text/templates/src");
  if (!folder) return;
  int templates = 0, tokens = 0;
  for (const auto& entry : std::filesystem::directory_iterator(*folder)) {
    if (entry.path().extension() != ".jinja") continue;
    const std::string source = read_file(entry.path());
    CAPTURE(entry.path().filename().string());
    const auto markers = markers_in(source);
    const auto tokenizer = tokenizer_with(markers);
    std::string spelled = "Hello";
    for (const std::string& marker : markers) spelled += " " + marker;
    MarkedText harmless, hostile;
    try {
      harmless = render(source, "Hello");
      hostile = render(source, spelled);
    } catch (const Error&) {
      continue;  // refuses such a conversation
    }
    const std::vector<int32_t> wanted = control_ids(harmless, *tokenizer, true);
    CHECK(wanted == control_ids(harmless, *tokenizer, false));  // nothing of the template's own is lost
    CHECK(control_ids(hostile, *tokenizer, true) == wanted);
    CHECK(control_ids(hostile, *tokenizer, false) != wanted);
    ++templates;
    tokens += static_cast<int>(wanted.size());
  }
  MESSAGE(templates, " templates with ", tokens, " special tokens");
  CHECK(templates > 20);
}

/// What of a rendering is trusted, the rest as dots.
std::string shown(std::string_view source, const Value& context) {
  const MarkedText text = jinja::Template(source).render_marked(context, parse_time("2026-11-23"));
  std::string out(text.text.size(), '.');
  for (const TextSpan& s : text.trusted) out.replace(s.begin, s.end - s.begin, text.text, s.begin, s.end - s.begin);
  return out;
}

TEST_CASE("what a template makes of its own text is its own, of a user's a user's") {
  const Value context(
      Value::Object{{"u", " user "}, {"list", Value::Array{"ab", "cd"}}, {"d", Value::Object{{"k", "vv"}}}});
  const std::pair<const char*, const char*> cases[] = {
      {"<a>{{ u }}<b>", "<a>......<b>"},
      {"{{ '<' + u + '>' }}", "<......>"},
      {"{{ ('<' ~ u ~ '>') | trim }}", "<......>"},
      {"{{ u.strip() }}", "...."},
      {"{{ ('  <x>  ' ~ 'y').strip() }}", "<x>  y"},
      {"{{ '<%s>' | format('x') }}", "<x>"},
      {"{{ '<%s>' | format(u) }}", "........"},
      {"{{ list | join('<>') }}", "..<>.."},
      {"{{ ['<a>', '<b>'] | join(',') }}", "<a>,<b>"},
      {"{{ list | map('upper') | first }}", ".."},
      {"{{ list | map('upper') | join }}", "...."},
      {"{% set x %}<{{ u }}>{% endset %}{{ x }}", "<......>"},
      {"{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(u) }}{{ m('z') }}", "<......><z>"},
      {"{{ d | tojson }}", "..........."},
      {"{{ {'a': '<x>'} | tojson }}", "{\"a\": \"<x>\"}"},
      {"{{ u.replace('user', '<x>') }}", "....."},
      {"{{ d.items() | list }}", "............."},
      {"{{ u[1:3] }}{{ 'abc'[1:] }}", "..bc"},
      {"{{ d.get('k', '<x>') }}{{ d.get('z', '<x>') }}", "..<x>"},
      {"{{ 'user' if 'user' in u }}{{ 3 }}", "user3"},
      {"{% filter trim %} <a>{{ u }}{% endfilter %}", "<a>....."},
      {"{{ u.split()[0] }}{{ '<a>|<b>'.split('|')[1] }}", "......."},
      {"{% for c in u %}{{ c }}{% endfor %}", "......"},
      {"{{ (list | batch(2) | list)[0][0] }}", ".."},
  };
  for (const auto& [source, expected] : cases) {
    CAPTURE(source);
    CHECK(shown(source, context) == expected);
  }
}

}  // namespace
}  // namespace tenon
