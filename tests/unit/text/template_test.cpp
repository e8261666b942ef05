// The template engine: hand-made cases that always run, and the shared cases rendered by jinja2 and transformers.
#include <doctest/doctest.h>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "fixtures.hpp"
#include "text/chat_template.hpp"
#include "text/fake_checkpoint.hpp"

using namespace tenon;

namespace {

const std::tm kNow = parse_time("2026-11-23 12:00:00");

std::string render(const std::string& source, const char* context = "{}") {
  return render_template(source, parse_json(context, "context"), kNow);
}

std::string error_of(const std::string& source) {
  try {
    render(source);
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::bad_model);
    return e.what();
  }
  return "no error";
}

Value json_file(const std::filesystem::path& path) { return parse_json(read_file(path), path.string()); }

}  // namespace

TEST_CASE("white space around tags") {
  CHECK(render("a\n  {% if true %}\nb\n  {% endif %}\nc\n") == "a\nb\nc");
  CHECK(render("a {{- 1 -}} \n b") == "a1b");
  CHECK(render("x\n  {# note #}\ny") == "x\ny");
  CHECK(render("{% raw %}{{ x }}{% endraw %}!") == "{{ x }}!");
  CHECK(render("  {%+ if true %}x{% endif +%}\ny") == "  x\ny");
}

TEST_CASE("values print as Python prints them") {
  CHECK(render("{{ [1, 2.0, 'a\\'b', none, true, {'k': (1,)}] }}") == "[1, 2.0, \"a'b\", None, True, {'k': (1,)}]");
  CHECK(render("{{ 1e16 }} {{ 1.5e-7 }} {{ 7 // -2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 100 }}") ==
        "1e+16 1.5e-07 -4 2 3.5 1267650600228229401496703205376");
  CHECK(render("{{ x | tojson }}", R"({"x": {"b": "<ü>", "a": [1, 2.50]}})") == R"({"b": "<ü>", "a": [1, 2.5]})");
  CHECK(render("{{ 'aßo'[1:] | upper }}{{ 'é日'[::-1] }}") == "SSO日é");
}

TEST_CASE("scopes, loops, macros") {
  CHECK(render("{% set ns = namespace(n=0) %}{% for i in range(4) if i is odd %}{% set ns.n = ns.n + i %}"
               "{{ loop.index }}{% if loop.last %}!{% endif %}{% endfor %}{{ ns.n }}") == "12!4");
  CHECK(render("{% macro m(a, b='x') %}<{{ a }}{{ b }}{{ caller() if caller }}>{% endmacro %}{{ m(1) }}"
               "{% call m(2, b='y') %}in{% endcall %}") == "<1x><2yin>");
  CHECK(render("{% generation %}kept{% endgeneration %}", R"({"add_generation_prompt": true})") == "kept");
  CHECK(render("{% set l = [] %}{% set _ = l.append(l) %}{% set _ = l.append(1) %}{{ l | length }}") == "2");
}

TEST_CASE("sorting is stable and survives values without an order") {
  CHECK(
      render(
          "{{ ['b', 'A', 'a', 'B'] | sort }}{{ [[2, 'x'], [1, 'y'], [2, 'a']] | sort(attribute=0, reverse=true) }}") ==
      "['A', 'a', 'b', 'B'][[2, 'x'], [2, 'a'], [1, 'y']]");
  CHECK(render("{% set n = 'nan' | float %}{{ ([n, 3.0, n, 1.0] * 500) | sort | length }}") == "2000");
}

TEST_CASE("errors carry the line") {
  CHECK(error_of("a\n{{ x.y }}") == "[template] line 2: 'x' is undefined");
  CHECK(error_of("{{ raise_exception('no tools') }}") == "[template] line 1: no tools");
  CHECK(error_of("\n\n{% if %}").rfind("[template] line 3: ", 0) == 0);
  CHECK(error_of("{% generation %}x{% endgeneration %}") == "[template] line 1: Encountered unknown tag 'generation'.");
  CHECK(error_of("{{ 1 + none }}") == "[template] line 1: unsupported operand type(s) for +: 'int' and 'NoneType'");
}

TEST_CASE("templates cannot take the host down") {
  for (const std::string bomb : std::initializer_list<const char*>{
           "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
           "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
           "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
           "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
           "{{ 'a' * 100000000000 }}",
           "{{ [1] * 100000000000 }}",
           "{{ range(1000000000) | list }}",
           "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
           "{% macro m() %}{% if true %}{% if true %}{% if true %}{{ [[[m()]]] }}{% endif %}{% endif %}{% endif %}"
           "{% endmacro %}{{ m() }}",
           "{% set l = [] %}{% set _ = l.append(l) %}{{ l }}",
           "{% set l = [] %}{% set _ = l.append(l) %}{{ l | tojson }}",
           "{{ '%099999999d' % 1 }}",
           "{{ '{:999999999}'.format(1) }}",
           "{{ 'a'.center(99999999999) }}",
           "{{ ('a' * 4000000).replace('a', 'b' * 4000000) }}",
           "{{ 2 ** 100000000 }}",
           "{{ -(2 ** 126) * 2 - 1 }}",
           "{{ 1 // 0 }}",
           "{{ 1.0 % 0 }}",
           "{{ 'x' | indent(100000000) ~ ('\n' * 8000000) | indent(9999, true, true) }}",
           "{{ ['a' * 1000000] * 1000000 | join }}"}) {
    CAPTURE(bomb);
    CHECK(error_of(bomb).rfind("[template] line ", 0) == 0);
  }
  const auto repeated = [](int n, const char* open, const char* middle, const char* close) {
    std::string s;
    for (int i = 0; i < n; ++i) s += open;
    s += middle;
    for (int i = 0; i < n; ++i) s += close;
    return s;
  };
  CHECK(error_of("{{ " + repeated(20000, "(", "1", ")") + " }}").rfind("[template] line 1", 0) == 0);
  CHECK(error_of("{{ " + repeated(20000, "[", "", "]") + " }}").rfind("[template] line 1", 0) == 0);
  CHECK(error_of("{{ 1" + repeated(20000, "+1", "", "") + " }}").rfind("[template] line 1", 0) == 0);
  CHECK(error_of("{{ x" + repeated(20000, ".a", "", "") + " }}").rfind("[template] line 1", 0) == 0);
  CHECK(error_of("{{ " + repeated(20000, "not ", "1", "") + " }}").rfind("[template] line 1", 0) == 0);
  CHECK(error_of("{{ " + repeated(20000, "- ", "1", "") + " }}").rfind("[template] line 1", 0) == 0);
  CHECK(error_of("{{ " + repeated(20000, "1 if ", "1", "") + " }}").rfind("[template] line 1", 0) == 0);
  CHECK(error_of(repeated(20000, "{% if 1 %}", "", "{% endif %}")).rfind("[template] line 1", 0) == 0);
  // Nested far deeper than any stack, and let go of.
  CHECK(render("{% set ns = namespace(x=[]) %}{% for i in range(90000) %}{% set ns.x = [ns.x] %}{% endfor %}ok") ==
        "ok");
  CHECK(render(
            "{% set ns = namespace(x=none) %}{% for i in range(50000) %}{% set o = ns.x %}{% macro m() %}{% endmacro %}"
            "{% set ns.x = m %}{% endfor %}ok") == "ok");
}

TEST_CASE("chat templates of a checkpoint") {
  const test::FakeCheckpoint checkpoint(
      Value(Value::Object{{"tokenizer.ggml.model", "gpt2"},
                          {"tokenizer.ggml.pre", "gpt-2"},
                          {"tokenizer.ggml.tokens", Value::Array{"a", "<s>", "</s>"}},
                          {"tokenizer.ggml.token_type", Value::Array{1, 3, 3}},
                          {"tokenizer.ggml.merges", Value::Array{}},
                          {"tokenizer.ggml.bos_token_id", 1},
                          {"tokenizer.ggml.eos_token_id", 2},
                          {"tokenizer.chat_template",
                           "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
                           "{% if add_generation_prompt %}[assistant]{% endif %}{{ mood }}"},
                          {"tokenizer.chat_template.tool_use", "{{ tools | length }}{{ tools[0].name }}"}}));
  const auto tokenizer = Tokenizer::from_checkpoint(checkpoint);
  const ChatTemplate chat = ChatTemplate::from_checkpoint(checkpoint, *tokenizer);
  REQUIRE(chat.has_template());
  CHECK(chat.names() == std::vector<std::string>{"default", "tool_use"});
  const Value messages = parse_json(R"([{"role": "user", "content": "Hi"}])", "messages");
  CHECK(chat.render(messages, Value()) == "<s>[user]Hi[assistant]");
  RenderOptions options;
  options.add_generation_prompt = false;
  options.extra = Value(Value::Object{{"mood", "calm"}});
  CHECK(chat.render(messages, Value(), options) == "<s>[user]Hicalm");
  CHECK(chat.render(messages, parse_json(R"([{"name": "f"}])", "tools")) == "1f");
  options.template_name = "absent";
  CHECK_THROWS_AS(chat.render(messages, Value(), options), Error);
}

TEST_CASE("shared cases rendered by jinja2") {
  const auto cases = test::shared("text/jinja.jsonl");
  const auto context_path = test::shared("text/jinja-context.json");
  if (!cases || !context_path) return;
  const Value context = json_file(*context_path);
  const std::string lines = read_file(*cases);
  for (size_t at = 0; at < lines.size();) {
    const size_t end = std::min(lines.find('\n', at), lines.size());
    const Value c = parse_json(std::string_view(lines).substr(at, end - at), "jinja.jsonl");
    at = end + 1;
    CAPTURE(c.find("id")->as_string());
    CAPTURE(c.find("template")->as_string());
    std::string output;
    bool failed = false;
    try {
      output = render_template(c.find("template")->as_string(), context, kNow);
    } catch (const Error& e) {
      failed = true;
      output = e.what();
    }
    if (const Value* expected = c.find("output"))
      CHECK(output == expected->as_string());
    else
      CHECK(failed);
  }
}

TEST_CASE("a name stands for a template: the shared renders of the world format") {
  const auto folder = test::shared("text/templates");
  if (!folder) return;
  const test::FakeCheckpoint checkpoint(Value(Value::Object{{"tokenizer.ggml.model", "gpt2"},
                                                            {"tokenizer.ggml.pre", "gpt-2"},
                                                            {"tokenizer.ggml.merges", Value::Array{}},
                                                            {"tokenizer.chat_template", "rwkv-world"},
                                                            {"tokenizer.ggml.tokens", Value::Array{"<s>", "a"}}}));
  const ChatTemplate chat = ChatTemplate::from_checkpoint(checkpoint, *Tokenizer::from_checkpoint(checkpoint));
  const Value all = json_file(*folder / "conversations.json"),
              reference = json_file(*folder / "llama-cpp-rwkv-world.json");
  int texts = 0;
  for (const auto& [name, expected] : reference.find("expected")->as_object()) {
    const Value* text = expected.find("text");
    if (!text) continue;
    CAPTURE(name);
    const Value& conversation = *all.find("conversations")->find(name.substr(0, name.rfind('/')));
    RenderOptions options;
    options.add_generation_prompt = name.ends_with("/gen");
    Value::Object extra{{"bos_token", "<s>"}};
    for (const auto& [key, value] : conversation.as_object())
      if (key != "messages" && key != "tools") extra.emplace_back(key, value);
    options.extra = Value(std::move(extra));
    CHECK(chat.render(*conversation.find("messages"), Value(), options) == text->as_string());
    ++texts;
  }
  CHECK(texts > 10);
}

TEST_CASE("shared chat templates rendered by transformers") {
  const auto folder = test::shared("text/templates");
  if (!folder) return;
  const Value all = json_file(*folder / "conversations.json");
  int texts = 0, raised = 0;
  for (const auto& entry : std::filesystem::directory_iterator(*folder)) {
    if (entry.path().extension() != ".json" || entry.path().filename() == "conversations.json") continue;
    const Value reference = json_file(entry.path());
    const std::string source = read_file(*folder / "src" / (reference.find("template")->as_string() + ".jinja"));
    CAPTURE(entry.path().filename().string());
    for (const auto& [name, expected] : reference.find("expected")->as_object()) {
      CAPTURE(name);
      const size_t slash = name.rfind('/');
      Value::Object context = all.find("special_tokens")->as_object();
      const Value& conversation = *all.find("conversations")->find(name.substr(0, slash));
      for (const auto& member : conversation.as_object()) context.push_back(member);
      if (!conversation.find("tools")) context.emplace_back("tools", Value());
      context.emplace_back("documents", Value());
      context.emplace_back("add_generation_prompt", name.substr(slash + 1) == "gen");
      std::string output;
      bool failed = false;
      try {
        output = render_template(source, Value(std::move(context)), kNow);
      } catch (const Error& e) {
        failed = true;
        output = e.what();
      }
      if (const Value* text = expected.find("text")) {
        CHECK(output == text->as_string());
        ++texts;
      } else if (expected.find("raised_by_template")->as_bool()) {
        CHECK(failed);
        ++raised;
      }
    }
  }
  MESSAGE(texts, " texts, ", raised, " raised");
}
