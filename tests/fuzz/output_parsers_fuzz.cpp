// An answer: the first byte chooses the formats, the second where it is cut. Any cutting gives the same message, and
// without markers nothing is lost.
#include <cstdlib>

#include "text/output/parser.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tenon::output;
  static constexpr std::string_view kTemplates[] = {"<think></think><tool_call>",
                                                    "[TOOL_CALLS][/THINK]",
                                                    "<tool_calls><|tools_prefix|><|inner_suffix|>",
                                                    "<｜tool▁calls▁begin｜>",
                                                    "｜DSML｜<minimax:tool_call>",
                                                    "<|tool_calls_section_begin|><function=",
                                                    "<|python_tag|>\"parameters\": dictionary of argument name",
                                                    "[func_name1(params_name1=params_value1 tool_code",
                                                    "<|channel|><|message|>",
                                                    "[BEGIN FINAL RESPONSE][END FINAL RESPONSE]<|tool_call|>"};
  if (size < 2) return 0;
  const std::string_view source = kTemplates[data[0] % std::size(kTemplates)];
  const std::string_view text(reinterpret_cast<const char*>(data + 2), size - 2);
  const ParserOptions options{.tools = {}, .prompt = data[1] & 1 ? "<think>" : "", .id_prefix = "f"};
  const std::string whole = tenon::to_json(parse_output(source, text, options).to_value());
  const auto parser = make_parser(source, options);
  Message message;
  const size_t step = data[1] / 2 % 7 + 1;
  for (size_t at = 0; at < text.size(); at += step)
    for (const Delta& delta : parser->feed(text.substr(at, step))) message.add(delta);
  for (const Delta& delta : parser->finish()) message.add(delta);
  if (tenon::to_json(message.to_value()) != whole) std::abort();
  return 0;
}
