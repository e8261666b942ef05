// Output parsers: one transcript of each format, cut everywhere; odd and hostile output.
#include <doctest/doctest.h>

#include "text/output/parser.hpp"
#include "text/output/pythonic.hpp"

namespace tenon::output {
namespace {

const ParserOptions kOptions{.tools = {}, .prompt = {}, .id_prefix = "t"};

std::string json(const Message& message) { return to_json(message.to_value()); }

Message parse_cut(std::string_view chat_template, std::string_view text, size_t cut, const ParserOptions& options) {
  const auto parser = make_parser(chat_template, options);
  Message out;
  for (std::string_view piece : {text.substr(0, cut), text.substr(cut)})
    for (const Delta& delta : parser->feed(piece)) out.add(delta);
  for (const Delta& delta : parser->finish()) out.add(delta);
  return out;
}

/// The message, the same wherever the text is cut.
Message parse(std::string_view chat_template, std::string_view text, const ParserOptions& options = kOptions) {
  const Message whole = parse_output(chat_template, text, options);
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    CAPTURE(cut);
    CHECK(json(parse_cut(chat_template, text, cut, options)) == json(whole));
  }
  return whole;
}

void check_call(std::string_view chat_template, std::string_view text, std::string_view name,
                std::string_view arguments) {
  CAPTURE(text);
  const Message m = parse(chat_template, text);
  CHECK(m.content.empty());
  REQUIRE(m.calls.size() == 1);
  CHECK(m.calls[0].name == name);
  CHECK(m.calls[0].arguments == arguments);
  CHECK_FALSE(m.calls[0].id.empty());
}

TEST_CASE("one call in each format") {
  check_call("<tool_call>", "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"</tool_call>\"}}\n</tool_call>",
             "f", "{\"a\": \"</tool_call>\"}");
  check_call(
      "<tool_call>",
      "<tool_call><function=f>\n<parameter=a>\nx\"y\n</parameter>\n<parameter=b>3</parameter></function></tool_call>",
      "f", "{\"a\": \"x\\\"y\", \"b\": 3}");
  check_call("<tool_call>", "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>[1]</arg_value>\n</tool_call>", "f",
             "{\"a\": [1]}");
  check_call("[TOOL_CALLS]", "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {}, \"id\": \"abcdefgh1\"}]", "f", "{}");
  check_call("[TOOL_CALLS]", "[TOOL_CALLS]f[CALL_ID]abcdefgh1[ARGS]{\"a\": \"[TOOL_CALLS]\"}", "f",
             "{\"a\": \"[TOOL_CALLS]\"}");
  check_call("<tool_calls>", "<tool_calls>[{\"name\": \"f\", \"arguments\": {\"a\": 1}}]</tool_calls>", "f",
             "{\"a\": 1}");
  check_call("<|tools_prefix|>", "<|tools_prefix|>[{\"f\": {\"a\": 1}}]<|tools_suffix|>", "f", "{\"a\": 1}");
  check_call(
      "<｜tool▁calls▁begin｜>",
      "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"a\": 1}\n```<｜tool▁call▁end｜>"
      "<｜tool▁calls▁end｜>",
      "f", "{\"a\": 1}");
  check_call(
      "<｜tool▁calls▁begin｜>",
      "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": 1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
      "f", "{\"a\": 1}");
  check_call(
      "｜DSML｜",
      "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"f\">\n<｜DSML｜parameter name=\"a\" string=\"true\">3"
      "</｜DSML｜parameter>\n<｜DSML｜parameter name=\"b\" string=\"false\">3</｜DSML｜parameter>\n</｜DSML｜invoke>\n"
      "</｜DSML｜function_calls>",
      "f", "{\"a\": \"3\", \"b\": 3}");
  check_call("<minimax:tool_call>",
             "<minimax:tool_call>\n<invoke name=\"f\">\n<parameter name=\"a\">x "
             "y</parameter>\n</invoke>\n</minimax:tool_call>",
             "f", "{\"a\": \"x y\"}");
  check_call("<|tool_calls_section_begin|>",
             "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{\"a\": "
             "1}<|tool_call_end|>"
             "<|tool_calls_section_end|>",
             "f", "{\"a\": 1}");
  check_call("<function=", "<function=f>{\"a\": 1}</function>", "f", "{\"a\": 1}");
  check_call("<|tool_call|>", "<|tool_call|>[{\"name\": \"f\", \"arguments\": {\"a\": 1}}]<|/tool_call|>", "f",
             "{\"a\": 1}");
  check_call("<|python_tag|>", "<|python_tag|>f.call(query=\"x\")", "f", "{\"query\": \"x\"}");
  check_call("\"parameters\": dictionary of argument name", "{\"name\": \"f\", \"parameters\": {\"a\": 1}}", "f",
             "{\"a\": 1}");
  check_call("[func_name1(params_name1=params_value1", "[f(a=1, b='x', c=[True, None])]", "f",
             "{\"a\": 1, \"b\": \"x\", \"c\": [true, null]}");
  check_call("tool_code", "```tool_code\nf(a={'k': 'v'})\n```", "f", "{\"a\": {\"k\": \"v\"}}");
  check_call("<|channel|> <|message|>", " to=functions.f<|channel|>commentary <|constrain|>json<|message|>{\"a\": 1}",
             "f", "{\"a\": 1}");
}

TEST_CASE("reasoning, content and calls in a row") {
  const Message m = parse(
      "<think></think><tool_call>",
      "<think>\nFirst\n\nthis.\n</think>\n\nHello \xc3\xa9.\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n"
      "</tool_call>\n<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>\n");
  CHECK(m.reasoning == "First\n\nthis.");
  CHECK(m.content == "Hello \xc3\xa9.");
  REQUIRE(m.calls.size() == 2);
  CHECK(m.calls[1].name == "g");
  CHECK(m.calls[0].id != m.calls[1].id);
}

TEST_CASE("reasoning that the prompt has opened, and empty reasoning") {
  ParserOptions options = kOptions;
  options.prompt = "<|im_start|>assistant\n<think>\n";
  const Message m = parse("<think></think>", "Hm.\n</think>\n\nYes.", options);
  CHECK(m.reasoning == "Hm.");
  CHECK(m.content == "Yes.");
  CHECK(parse("</think>", "<think>\n\n</think>\n\nYes.").content == "Yes.");
  CHECK(parse("</think>", "<think>never ends").reasoning == "never ends");
  CHECK(parse("</think>", "It says <think> here.").content == "It says <think> here.");
}

TEST_CASE("channels") {
  const Message m =
      parse("<|channel|><|message|>",
            "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>First.<|end|>"
            "<|start|>assistant<|channel|>final<|message|>Yes.<|return|>");
  CHECK(m.reasoning == "Hm.");
  CHECK(m.content == "First.Yes.");
  CHECK(parse("<|channel|><|message|>", "just text").content == "just text");
  CHECK(parse("<|channel|><|message|>", "<|channel|>no message").content == "<|channel|>no message");
}

TEST_CASE("what is no whole call stays content, and nothing is lost") {
  for (std::string_view text :
       {"<tool_call>\n{\"name\": \"f\", \"arguments\": {\n</tool_call>", "<tool_call>{\"name\": \"f\"",
        "<tool_call></tool_call>", "<tool_call>{\"name\": 3, \"arguments\": {}}</tool_call>", "a <tool_cal",
        "<tool_call><function=f><parameter=a>", "<tool_call>{\"name\": \"f\", \"arguments\": [1]}</tool_call>",
        "</tool_call> end", "{\"name\": \"f\"}", "\xff\xfe <"}) {
    CAPTURE(text);
    const Message m = parse("<tool_call>", text);
    CHECK(m.calls.empty());
    CHECK(m.content == text);
  }
  CHECK(parse("nothing is mentioned", "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>").calls.empty());
  CHECK(parse("[func_name1(params_name1=params_value1", "[f(a=__import__('os'))]").content ==
        "[f(a=__import__('os'))]");
  CHECK(parse("<|channel|><|message|>", "<|channel|>commentary to=functions.f<|message|>{\"a\"<|call|>").calls.empty());
}

TEST_CASE("hostile output ends soon") {
  const std::string all =
      "<think></think><tool_call><function=[TOOL_CALLS]<tool_calls><｜tool▁calls▁begin｜>｜DSML｜tool_code";
  for (std::string_view unit :
       {"<tool_call>", "<tool_call></tool_call>", "[", "{\"a\":", "\"", "<think>", "[TOOL_CALLS]",
        "<function=", "<function=f><parameter=a>", "<｜tool▁calls▁begin｜>", "<", "```tool_code\nf("}) {
    std::string text;
    while (text.size() < 500000) text += unit;
    CAPTURE(unit);
    for (const char* source : {all.c_str(), "<|channel|><|message|>", "[func_name1(params_name1=params_value1"}) {
      const Message m = parse_output(source, text, kOptions);
      CHECK(m.content.size() + m.reasoning.size() <= text.size());
    }
  }
  std::string channels;
  while (channels.size() < 500000) channels += "<|channel|>final<|message|>";
  CHECK(parse_output("<|channel|><|message|>", channels, kOptions).content.empty());
}

TEST_CASE("Python's literals are read, never run") {
  CHECK(pythonic_calls("f(a=1)\ng(b=\"\\u00e9\\n\", c=(1, 2.5), d={'x': False})")->size() == 2);
  CHECK(pythonic_calls("[f(), g(a='it\\'s')]")->at(1).arguments == "{\"a\": \"it's\"}");
  for (const char* text : {"f(1)", "f(a=b)", "f(a=1", "f", "f(a=1+1)", "[f(a=[1)]", "f(a={1: 2})", "f(a='x)"})
    CHECK_FALSE(pythonic_calls(text).has_value());
}

}  // namespace
}  // namespace tenon::output
