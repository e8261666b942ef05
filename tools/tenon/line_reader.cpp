// Over libedit's own interface (editline(3)).
#include "line_reader.hpp"

#include <fcntl.h>
#include <histedit.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <filesystem>
#include <iostream>
#include <utility>

#include "base/error.hpp"

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

/// While it lives Ctrl-C does not end the program but is told through a pipe, so that none is lost between two reads.
class Interrupts {
 public:
  Interrupts() {
    if (pipe2(ends_, O_CLOEXEC | O_NONBLOCK)) fail(ErrorCode::io, "[chat] pipe: {}", std::strerror(errno));
    write_end = ends_[1];
    struct sigaction action{};
    action.sa_handler = [](int) {
      const int kept = errno;
      [[maybe_unused]] const ssize_t n = write(write_end, "", 1);
      errno = kept;
    };
    sigaction(SIGINT, &action, &before_);
  }
  ~Interrupts() {
    sigaction(SIGINT, &before_, nullptr);
    close(ends_[0]), close(ends_[1]);
  }
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  int fd() const { return ends_[0]; }
  void forget() const {
    char sink[64];
    while (read(ends_[0], sink, sizeof sink) > 0) continue;
  }

 private:
  static inline volatile std::sig_atomic_t write_end = -1;
  int ends_[2];
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
    el_set(edit, EL_GETCFN, &next_character);
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

  static Editor& of(EditLine* edit) {
    void* self = nullptr;
    el_get(edit, EL_CLIENTDATA, &self);
    return *static_cast<Editor*>(self);
  }
  static char* shown_prompt(EditLine* edit) { return of(edit).prompt.data(); }

  /// 1 and a character, 0 at the end of input, -1 on Ctrl-C or an error.
  static int next_character(EditLine* edit, wchar_t* out) {
    Editor& self = of(edit);
    std::mbstate_t state{};
    for (;;) {
      pollfd waits[] = {{STDIN_FILENO, POLLIN, 0}, {self.interrupts.fd(), POLLIN, 0}};
      if (poll(waits, 2, -1) < 0 && errno != EINTR) return -1;
      if (waits[1].revents) {
        self.interrupts.forget();
        self.interrupted = true;
        return -1;
      }
      char byte = 0;
      const ssize_t n = waits[0].revents ? read(STDIN_FILENO, &byte, 1) : -1;
      if (n == 0) return 0;
      if (n < 0 && waits[0].revents && errno != EINTR && errno != EAGAIN) return -1;
      if (n < 0) continue;
      const size_t length = std::mbrtowc(out, &byte, 1, &state);
      if (length == static_cast<size_t>(-2)) continue;
      if (length == static_cast<size_t>(-1)) *out = L'\xfffd';
      return 1;
    }
  }

  std::string prompt;
  fs::path file;
  History* lines = nullptr;
  EditLine* edit = nullptr;
  Interrupts interrupts;
  bool interrupted = false;
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
  int n = 0;
  const char* text = el_gets(editor_->edit, &n);
  if (!text || n <= 0) {
    if (!std::exchange(editor_->interrupted, false)) return std::nullopt;
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
