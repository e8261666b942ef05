// tenon chat: a conversation. Each line is a message; the answer streams to stdout.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <memory>

#include "commands.hpp"
#include "line_reader.hpp"
#include "options.hpp"
#include "sampling.hpp"
#include "template_options.hpp"

namespace tenon::tool {

namespace {

std::atomic<bool> interrupted = false;
void on_interrupt(int) { interrupted.store(true, std::memory_order_relaxed); }

struct ChatOptions {
  ModelOptions model;
  SamplingOptions sampling;
  TemplateOptions chat;
  std::string system;
};

constexpr const char* kHelp =
    "/reset forgets the conversation, /exit (or Ctrl-D) leaves, Ctrl-C stops an answer; a line that ends with a\n"
    "backslash goes on in the next one.\n";

class Chat {
 public:
  Chat(const ChatOptions& options, api::Model model)
      : options_(options),
        model_(std::move(model)),
        reader_("> "),
        sampling_(options.sampling.params(model_)),
        render_(options.chat.read()) {
    reset();
  }

  void run() {
    if (reader_.is_terminal()) fmt::print(stderr, "{}", kHelp);
    while (auto line = reader_.next()) {
      if (*line == "/exit" || *line == "/quit") return;
      if (!is_command(*line)) answer(*line);
    }
    if (reader_.is_terminal()) write_out("\n");
  }

 private:
  void reset() {
    messages_.clear();
    if (!options_.system.empty()) add("system", options_.system);
  }

  void add(const char* role, std::string content) {
    messages_.push_back(Value::Object{{"role", role}, {"content", std::move(content)}});
  }

  /// A line that is no message: empty, or one word behind a slash.
  bool is_command(const std::string& line) {
    if (line.find_first_not_of(" \t\n") == std::string::npos) return true;
    if (line[0] != '/' || !std::all_of(line.begin() + 1, line.end(), [](char c) { return c >= 'a' && c <= 'z'; }))
      return false;
    if (line == "/reset")
      reset();
    else
      fmt::print(stderr, "{}{}", line == "/help" ? "" : "tenon: no command " + line + "; ", kHelp);
    return true;
  }

  void answer(const std::string& message) {
    add("user", message);
    const bool json = options_.model.plugins.json;
    api::GenerateOptions g;
    g.max_new_tokens = options_.sampling.n;
    g.sampling = sampling_;
    g.stop = options_.sampling.stop;
    g.cancel = &interrupted;
    g.on_token = [&](std::string_view piece, int32_t) {
      if (!json && !piece.empty()) write_out(piece), flush_out();
      return true;
    };
    interrupted = false;
    const auto before = std::signal(SIGINT, on_interrupt);
    try {
      const api::Generation got = model_.generate(model_.text().render_ids(Value(messages_), render_), g);
      write_out(json ? to_json(answers_value({got}, model_, false)) + "\n" : "\n");
      flush_out();
      if (reader_.is_terminal()) print_speed(got);
      messages_.push_back(
          model_.text().message(got.ids, render_, model_.text().render(Value(messages_), render_)).to_value());
    } catch (const Error& e) {  // a conversation that grew too long, a template that refuses it
      messages_.pop_back();
      if (!reader_.is_terminal()) throw;
      fmt::print(stderr, "tenon: error: {}\n", e.what());
    }
    std::signal(SIGINT, before);
  }

  const ChatOptions& options_;
  api::Model model_;
  LineReader reader_;
  api::SamplingParams sampling_;
  api::RenderOptions render_;
  Value::Array messages_;
};

int run(const ChatOptions& o) {
  api::Model model = load_model(o.model);
  if (o.chat.file.empty() && !model.text().has_chat_template())
    fail(ErrorCode::unsupported, "[chat] {} has no chat template", o.model.model);
  Chat(o, std::move(model)).run();
  return 0;
}

}  // namespace

void add_chat(CLI::App& app, Commands& commands) {
  auto o = std::make_shared<ChatOptions>();
  CLI::App* c = app.add_subcommand("chat", "Talk with a model, one message a line");
  add_model_options(*c, o->model);
  add_sampling_options(*c, o->sampling);
  add_template_options(*c, o->chat);
  c->add_option("--system", o->system, "What the model is told first")->type_name("TEXT");
  commands.emplace_back(c, [o] { return run(*o); });
}

}  // namespace tenon::tool
