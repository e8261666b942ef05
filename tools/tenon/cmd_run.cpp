// tenon run: one prompt, its continuation streamed to stdout.
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <optional>

#include "commands.hpp"
#include "constraint.hpp"
#include "options.hpp"
#include "sampling.hpp"
#include "template_options.hpp"

namespace tenon::tool {

namespace {

std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);

/// The first Ctrl-C ends the answer, the second one the program.
void on_interrupt(int) {
  interrupted.store(true, std::memory_order_relaxed);
  std::signal(SIGINT, SIG_DFL);
}

struct RunOptions {
  ModelOptions model;
  std::string prompt_word, prompt_flag, tokens, messages;
  TemplateOptions chat;
  SamplingOptions sampling;
  ConstraintOptions constraint;
  int32_t logprobs = 0, answers = 1;
  bool raw = false, ids = false, ignore_eos = false;
  CLI::App* command = nullptr;

  bool given(const char* flag) const { return command->count(flag) > 0; }
};

void check(const RunOptions& o) {
  const int prompts = o.given("PROMPT") + o.given("-p") + o.given("--tokens") + o.given("--messages");
  if (prompts == 0)
    fail(ErrorCode::usage, "[run] no prompt: PROMPT, -p TEXT (- for standard input), --messages FILE or --tokens IDS");
  if (prompts > 1) fail(ErrorCode::usage, "[run] more than one of PROMPT, -p, --messages and --tokens");
  if (o.raw && o.given("--messages"))
    fail(ErrorCode::usage, "[run] --messages need the chat template, --raw is without");
  if (o.ids && o.model.plugins.json) fail(ErrorCode::usage, "[run] --ids and --json exclude each other");
  if (o.given("--logprobs") && !o.model.plugins.json) fail(ErrorCode::usage, "[run] --logprobs is for --json only");
}

std::string prompt_text(const RunOptions& o) {
  const std::string& word = o.given("-p") ? o.prompt_flag : o.prompt_word;
  return word == "-" ? read_input("-") : word;
}

void finish_text(const api::Generation& g) {
  if (isatty(STDOUT_FILENO) && !g.text.ends_with('\n')) write_out("\n");
  if (!isatty(STDERR_FILENO)) return;
  flush_out();
  print_speed(g);
}

/// The conversation, or nothing where the prompt is text or ids as they are.
std::optional<Value> conversation(const RunOptions& o, api::Model& model, const std::string& text) {
  if (o.given("--messages")) return read_json(o.messages);
  if (o.given("--tokens") || o.raw || !model.text().has_chat_template()) return std::nullopt;
  return Value(Value::Array{Value(Value::Object{{"role", "user"}, {"content", text}})});
}

/// The answers' value, with the message that a chat template's formats make of each.
Value with_messages(const RunOptions& o, const std::vector<api::Generation>& answers, api::Model& model,
                    const std::optional<Value>& messages, const api::RenderOptions& render) {
  Value out = answers_value(answers, model, o.given("--logprobs"));
  if (!messages) return out;
  const std::string prompt = model.text().render(*messages, render);
  Value::Object fields = out.as_object();
  const auto message = [&](const api::Generation& g) { return model.text().message(g.ids, render, prompt).to_value(); };
  if (answers.size() == 1) {
    fields.emplace_back("message", message(answers.front()));
    return Value(std::move(fields));
  }
  for (auto& [key, value] : fields) {
    if (key != "choices") continue;
    Value::Array choices;
    for (size_t i = 0; i < answers.size(); ++i) {
      Value::Object choice = value.as_array()[i].as_object();
      choice.emplace_back("message", message(answers[i]));
      choices.emplace_back(std::move(choice));
    }
    value = Value(std::move(choices));
  }
  return Value(std::move(fields));
}

int run(const RunOptions& o) {
  check(o);
  std::vector<int32_t> prompt;
  if (o.given("--tokens")) prompt = parse_ids(o.tokens, "--tokens");
  const std::string text = o.given("--tokens") || o.given("--messages") ? std::string() : prompt_text(o);
  auto grammar = o.constraint.read();  // before a long load
  api::Model model = load_model(o.model);
  const api::RenderOptions render = o.chat.read();
  const std::optional<Value> messages = conversation(o, model, text);
  if (messages)
    prompt = model.text().render_ids(*messages, render);
  else if (prompt.empty())
    prompt = model.prompt_ids(text, o.raw);

  const bool stream = !o.ids && !o.model.plugins.json && o.answers == 1;
  api::GenerateOptions g;
  g.max_new_tokens = o.sampling.n;
  g.sampling = o.sampling.params(model);
  g.ignore_eos = o.ignore_eos;
  g.want_text = !o.ids;
  g.stop = o.sampling.stop;
  if (grammar) g.constraint = model.constraint(std::move(*grammar));
  if (o.given("--logprobs")) g.logprobs = o.logprobs;
  g.cancel = &interrupted;
  const auto listener = [&](int32_t, std::string_view piece, int32_t) {
    if (stream && !piece.empty()) write_out(piece), flush_out();
    return true;
  };
  std::signal(SIGINT, on_interrupt);
  const auto answers = model.generate_n(std::move(prompt), o.answers, g, listener);
  std::signal(SIGINT, SIG_DFL);

  if (o.model.plugins.json)
    write_out(to_json(with_messages(o, answers, model, messages, render)) + "\n");
  else if (stream)
    finish_text(answers.front());
  else
    for (const api::Generation& answer : answers)
      write_out((o.ids ? to_json(Value::Array(answer.ids.begin(), answer.ids.end())) : answer.text) + "\n");
  return interrupted ? 128 + SIGINT : 0;
}

}  // namespace

void add_run(CLI::App& app, Commands& commands) {
  auto o = std::make_shared<RunOptions>();
  CLI::App* c = o->command = app.add_subcommand("run", "Continue a prompt (with the model's chat template, if any)");
  add_model_options(*c, o->model);
  c->add_option("PROMPT", o->prompt_word, "The prompt; - reads standard input");
  c->add_option("-p,--prompt", o->prompt_flag, "The prompt; - reads standard input")->type_name("TEXT");
  c->add_option("--messages", o->messages, "The prompt as JSON array of messages")->type_name("FILE");
  add_template_options(*c, o->chat);
  c->add_option("--tokens", o->tokens, "The prompt as ids, untouched")->type_name("1,2,3");
  add_sampling_options(*c, o->sampling);
  add_constraint_options(*c, o->constraint);
  c->add_option("--logprobs", o->logprobs, "With --json: log-probabilities, also of so many likeliest tokens")
      ->type_name("N")
      ->check(CLI::Range(0, 20));
  c->add_option("--n", o->answers, "Answers to the same prompt, printed one after another")
      ->type_name("N")
      ->check(CLI::Range(1, 128));
  c->add_flag("--raw", o->raw, "No chat template");
  c->add_flag("--ids", o->ids, "Print the generated ids as one JSON array");
  c->add_flag("--ignore-eos", o->ignore_eos, "Go on past a stop id");
  commands.emplace_back(c, [o] { return run(*o); });
}

}  // namespace tenon::tool
