// Lines from a person: with editing and a history on a terminal, plain from a pipe.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace tenon::tool {

class LineReader {
 public:
  /// `prompt` is shown on a terminal only. The history lies in the user's state directory, readable by its owner alone.
  explicit LineReader(std::string prompt);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  bool is_terminal() const { return editor_ != nullptr; }
  /// The next line without its end; a backslash there joins it with the one after. Nothing at the end of input; on a
  /// terminal, Ctrl-C throws away what was typed and an empty line comes back.
  std::optional<std::string> next();

 private:
  struct Editor;
  std::optional<std::string> next_raw();
  std::unique_ptr<Editor> editor_;
};

}  // namespace tenon::tool
