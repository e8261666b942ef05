// Takes a model's output apart while it comes: reasoning, content, tool calls. Never throws for odd output: what is no
// whole call stays content, and no text is lost. Linear in the output's length.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "text/output/call_syntax.hpp"
#include "text/output/message.hpp"

namespace tenon::output {

struct ParserOptions {
  Value tools = {};            // as the template got them, or null
  std::string prompt = {};     // its end says whether reasoning is open already
  std::string id_prefix = {};  // of calls that bring no id; random when empty
};

/// One answer. Give it the text with special tokens spelled, without the ids that ended the generation.
class OutputParser {
 public:
  virtual ~OutputParser() = default;
  /// What became certain. Cutting the text differently gives the same message.
  virtual Deltas feed(std::string_view text) = 0;
  /// The rest.
  virtual Deltas finish() = 0;
};

/// The parser for the formats that a chat template mentions (table formats.def); one that passes everything on when
/// there are none.
std::unique_ptr<OutputParser> make_parser(std::string_view chat_template, const ParserOptions& options = {});

/// A whole answer at once.
Message parse_output(std::string_view chat_template, std::string_view text, const ParserOptions& options = {});

}  // namespace tenon::output
