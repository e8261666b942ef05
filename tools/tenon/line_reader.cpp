// Over libedit's own interface (editline(3)).
#include "line_reader.hpp"

#include <histedit.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>

namespace tenon::tool {

namespace fs = std::filesystem;

namespace {

constexpr int kHistoryLines = 1000;

fs::path history_file() {
  fs::path folder;
  if (const char* state = std::getenv("XDG_STATE_HOME"); state && *state)
    folder = state;
  else if (const char* home = std::getenv("HOME"); home && *home)
    folder = fs::path(home) / ".local/state";
  return folder.empty() ? folder : folder / "tenon/chat_history";
}

void ignore_signal(int) {}

/// While it lives Ctrl-C interrupts a read instead of the program.
class InterruptedReads {
 public:
  InterruptedReads() {
    struct sigaction action{};
    action.sa_handler = ignore_signal;  // and no SA_RESTART
    sigaction(SIGINT, &action, &before_);
  }
  ~InterruptedReads() { sigaction(SIGINT, &before_, nullptr); }
  InterruptedReads(const InterruptedReads&) = delete;
  InterruptedReads& operator=(const InterruptedReads&) = delete;

 private:
  struct sigaction before_{};
};

}  // namespace

struct LineReader::Editor {
  explicit Editor(std::string text) : prompt(std::move(text)), file(history_file()) {
    if (!std::setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
    lines = history_init();
    HistEvent event;
    history(lines, &event, H_SETSIZE, kHistoryLines);
    history(lines, &event, H_SETUNIQUE, 1);
    if (!file.empty()) history(lines, &event, H_LOAD, file.c_str());
    edit = el_init("tenon", stdin, stdout, stderr);
    el_set(edit, EL_CLIENTDATA, this);
    el_set(edit, EL_PROMPT, &shown_prompt);
    el_set(edit, EL_EDITOR, "emacs");
    el_set(edit, EL_HIST, &history, lines);
    el_set(edit, EL_SIGNAL, 0);
    el_set(edit, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_source(edit, nullptr);
  }
  ~Editor() {
    HistEvent event;
    std::error_code error;
    if (!file.empty()) {
      fs::create_directories(file.parent_path(), error);
      const mode_t mask = umask(077);
      history(lines, &event, H_SAVE, file.c_str());
      umask(mask);
    }
    el_end(edit);
    history_end(lines);
  }
  Editor(const Editor&) = delete;
  Editor& operator=(const Editor&) = delete;

  static char* shown_prompt(EditLine* edit) {
    void* self = nullptr;
    el_get(edit, EL_CLIENTDATA, &self);
    return static_cast<Editor*>(self)->prompt.data();
  }

  std::string prompt;
  fs::path file;
  History* lines = nullptr;
  EditLine* edit = nullptr;
};

LineReader::LineReader(std::string prompt) {
  if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) editor_ = std::make_unique<Editor>(std::move(prompt));
}

LineReader::~LineReader() = default;

std::optional<std::string> LineReader::next_raw() {
  std::string line;
  if (!editor_) {
    if (!std::getline(std::cin, line)) return std::nullopt;
    if (line.ends_with('\r')) line.pop_back();
    return line;
  }
  const InterruptedReads guard;
  int n = 0;
  errno = 0;
  const char* text = el_gets(editor_->edit, &n);
  if (!text || n <= 0) {
    if (n >= 0 && errno != EINTR) return std::nullopt;
    el_reset(editor_->edit);
    std::fputc('\n', stdout);
    return std::string();
  }
  line.assign(text, static_cast<size_t>(n));
  HistEvent event;
  if (line.find_first_not_of(" \t\r\n") != std::string::npos) history(editor_->lines, &event, H_ENTER, line.c_str());
  while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
  return line;
}

std::optional<std::string> LineReader::next() {
  std::optional<std::string> line = next_raw();
  while (line && line->ends_with('\\')) {
    line->back() = '\n';
    const std::optional<std::string> more = next_raw();
    if (!more) break;
    *line += *more;
  }
  return line;
}

}  // namespace tenon::tool
