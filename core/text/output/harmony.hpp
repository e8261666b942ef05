// Output in messages with channels: <|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>final...
#pragma once

#include <string>
#include <string_view>

#include "text/output/parser.hpp"
#include "text/output/pending.hpp"

namespace tenon::output {

class HarmonyParser final : public OutputParser {
 public:
  explicit HarmonyParser(const ParserOptions& options) : id_prefix_(options.id_prefix) {}
  static bool mentioned(std::string_view chat_template);
  Deltas feed(std::string_view text) override;
  Deltas finish() override;

 private:
  enum class Part : uint8_t { header, reasoning, content, call };
  bool run(bool last);
  void read_header(std::string_view header);
  void emit(std::string_view text);
  void end_part();

  Pending pending_;
  std::string id_prefix_, call_, raw_header_;
  Deltas out_;
  std::string name_;
  size_t n_calls_ = 0;
  Part part_ = Part::header;  // the prompt ends behind <|start|>assistant
};

}  // namespace tenon::output
