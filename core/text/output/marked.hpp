// Output with markers around its parts, those of formats.def.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/output/json_scan.hpp"
#include "text/output/parser.hpp"
#include "text/output/pending.hpp"

namespace tenon::output {

struct Reasoning {
  std::string_view open, close;
};
struct Block {
  std::string_view open, close;  // close empty: up to the next block
  Syntax syntax;
  bool whole;  // the markers belong to the call
};
struct Bare {
  char first;
  Syntax syntax;
};
struct Markers {
  std::vector<Reasoning> reasoning;
  std::vector<Block> blocks;
  std::vector<Bare> bare;
  std::vector<std::string_view> drop;
};
Markers markers_of(std::string_view chat_template);

class MarkedParser final : public OutputParser {
 public:
  MarkedParser(Markers markers, const ParserOptions& options);
  Deltas feed(std::string_view text) override;
  Deltas finish() override;

 private:
  enum class Mode : uint8_t { content, reasoning, block, bare };

  void run(bool last);
  bool run_content(bool last);
  bool run_reasoning(bool last);
  bool run_block(bool last);
  bool begin_bare();
  void open_block(const Block& block);
  void open_reasoning(const Reasoning& reasoning);
  void close_block(size_t end, size_t after);
  void emit(Delta::Kind kind, std::string_view text);
  void emit_text(std::string_view text);
  void emit_calls(std::vector<ToolCall> calls);
  void consume(size_t n);

  Markers markers_;
  std::vector<std::string_view> watched_;  // in content: openings and what is dropped
  Tools tools_;
  std::string id_prefix_;
  Deltas out_;
  Pending pending_;
  std::string space_;  // white space that may be dropped
  size_t scan_ = 0;    // of a block: looked at
  Mode mode_ = Mode::content;
  const Reasoning* reasoning_ = nullptr;
  const Block* block_ = nullptr;
  JsonPlace place_;
  Syntax bare_ = Syntax::json;
  size_t n_calls_ = 0;
  bool anything_ = false;    // content came
  bool skip_space_ = false;  // white space in front of what follows is none of it
};

}  // namespace tenon::output
