#include "text/output/parser.hpp"

#include <random>

#include "text/output/harmony.hpp"
#include "text/output/marked.hpp"

namespace tenon::output {
namespace {

std::string random_prefix() {
  static constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::random_device random;
  std::string out;
  for (int i = 0; i < 8; ++i) out += kLetters[random() % kLetters.size()];
  return out;
}

}  // namespace

std::unique_ptr<OutputParser> make_parser(std::string_view chat_template, const ParserOptions& given) {
  ParserOptions options = given;
  if (options.id_prefix.empty()) options.id_prefix = random_prefix();
  if (HarmonyParser::mentioned(chat_template)) return std::make_unique<HarmonyParser>(options);
  return std::make_unique<MarkedParser>(markers_of(chat_template), options);
}

Message parse_output(std::string_view chat_template, std::string_view text, const ParserOptions& options) {
  const auto parser = make_parser(chat_template, options);
  Message out;
  for (const Delta& delta : parser->feed(text)) out.add(delta);
  for (const Delta& delta : parser->finish()) out.add(delta);
  return out;
}

}  // namespace tenon::output
