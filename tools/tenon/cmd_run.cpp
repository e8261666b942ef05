// tenon run: one prompt, its continuation streamed to stdout.
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <random>

#include "commands.hpp"
#include "options.hpp"

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
  std::string prompt_word, prompt_flag, tokens;
  int64_t n = -1;
  double temperature = 0, top_p = 1, min_p = 0;
  int32_t top_k = 0;
  uint64_t seed = 0;
  bool raw = false, ids = false, ignore_eos = false;
  CLI::App* command = nullptr;

  bool given(const char* flag) const { return command->count(flag) > 0; }
};

void check(const RunOptions& o) {
  const int prompts = o.given("PROMPT") + o.given("-p") + o.given("--tokens");
  if (prompts == 0) fail(ErrorCode::usage, "[run] no prompt: PROMPT, -p TEXT (- for standard input) or --tokens IDS");
  if (prompts > 1) fail(ErrorCode::usage, "[run] more than one of PROMPT, -p and --tokens");
  if (o.ids && o.model.plugins.json) fail(ErrorCode::usage, "[run] --ids and --json exclude each other");
}

std::string prompt_text(const RunOptions& o) {
  const std::string& word = o.given("-p") ? o.prompt_flag : o.prompt_word;
  return word == "-" ? read_input("-") : word;
}

api::SamplingParams sampling_of(const RunOptions& o, const api::Model& model) {
  api::SamplingParams s = model.default_sampling();
  if (o.given("--temp")) s.temperature = static_cast<float>(o.temperature);
  if (o.given("--top-k")) s.top_k = o.top_k;
  if (o.given("--top-p")) s.top_p = static_cast<float>(o.top_p);
  if (o.given("--min-p")) s.min_p = static_cast<float>(o.min_p);
  s.seed = o.given("--seed") ? o.seed : std::random_device{}();
  s.validate();
  return s;
}

Value::Array ids_value(const std::vector<int32_t>& ids) { return Value::Array(ids.begin(), ids.end()); }

double rate(size_t n, double seconds) { return seconds > 0 ? static_cast<double>(n) / seconds : 0; }

Value result_value(const api::Generation& g, const api::Model& model) {
  const auto n_prompt = g.prompt_tokens, n_new = static_cast<int64_t>(g.ids.size());
  const size_t decoded = g.ids.empty() ? 0 : g.ids.size() - 1;  // the first token comes with the prompt
  return Value::Object{
      {"text", g.text},
      {"ids", ids_value(g.ids)},
      {"finish_reason", g.finish_reason},
      {"usage",
       Value::Object{
           {"prompt_tokens", n_prompt}, {"completion_tokens", n_new}, {"total_tokens", Value(n_prompt + n_new)}}},
      {"timings", Value::Object{{"load_s", model.info().load_s},
                                {"prompt_s", g.prompt_s},
                                {"decode_s", g.decode_s},
                                {"prompt_tokens_per_s", rate(static_cast<size_t>(n_prompt), g.prompt_s)},
                                {"decode_tokens_per_s", rate(decoded, g.decode_s)}}}};
}

void finish_text(const api::Generation& g) {
  if (isatty(STDOUT_FILENO) && !g.text.ends_with('\n')) write_out("\n");
  if (!isatty(STDERR_FILENO)) return;
  flush_out();
  const size_t decoded = g.ids.empty() ? 0 : g.ids.size() - 1;
  fmt::print(stderr, "[{} prompt tokens in {:.2f} s, {} tokens at {:.1f} per second]\n", g.prompt_tokens, g.prompt_s,
             g.ids.size(), rate(decoded, g.decode_s));
}

int run(const RunOptions& o) {
  check(o);
  std::vector<int32_t> prompt;
  if (o.given("--tokens")) prompt = parse_ids(o.tokens, "--tokens");
  const std::string text = prompt.empty() ? prompt_text(o) : std::string();
  api::Model model = load_model(o.model);
  if (prompt.empty()) prompt = model.prompt_ids(text, o.raw);

  const bool stream = !o.ids && !o.model.plugins.json;
  api::GenerateOptions g;
  g.max_new_tokens = o.n;
  g.sampling = sampling_of(o, model);
  g.ignore_eos = o.ignore_eos;
  g.want_text = !o.ids;
  g.cancel = &interrupted;
  g.on_token = [&](std::string_view piece, int32_t) {
    if (stream && !piece.empty()) write_out(piece), flush_out();
    return true;
  };
  std::signal(SIGINT, on_interrupt);
  const api::Generation answer = model.generate(std::move(prompt), g);
  std::signal(SIGINT, SIG_DFL);

  if (o.ids)
    write_out(to_json(ids_value(answer.ids)) + "\n");
  else if (o.model.plugins.json)
    write_out(to_json(result_value(answer, model)) + "\n");
  else
    finish_text(answer);
  return interrupted ? 128 + SIGINT : 0;
}

}  // namespace

void add_run(CLI::App& app, Commands& commands) {
  auto o = std::make_shared<RunOptions>();
  CLI::App* c = o->command = app.add_subcommand("run", "Continue a prompt (with the model's chat template, if any)");
  add_model_options(*c, o->model);
  c->add_option("PROMPT", o->prompt_word, "The prompt; - reads standard input");
  c->add_option("-p,--prompt", o->prompt_flag, "The prompt; - reads standard input")->type_name("TEXT");
  c->add_option("--tokens", o->tokens, "The prompt as ids, untouched")->type_name("1,2,3");
  c->add_option("-n,--max-tokens", o->n, "New tokens at most; -1 goes on until a stop id or the end of the context")
      ->type_name("N")
      ->check(CLI::Range(int64_t{-1}, int64_t{1} << 40));
  c->add_option("--temp,--temperature", o->temperature, "0 takes the largest logit")->type_name("T");
  c->add_option("--top-k", o->top_k, "Sample among the k likeliest; 0 for all")->type_name("K");
  c->add_option("--top-p", o->top_p, "Sample among the likeliest that reach this mass")->type_name("P");
  c->add_option("--min-p", o->min_p, "Sample among those of at least this share of the likeliest")->type_name("P");
  c->add_option("--seed", o->seed, "Same seed, same text; random without it")->type_name("S");
  c->add_flag("--raw", o->raw, "No chat template");
  c->add_flag("--ids", o->ids, "Print the generated ids as one JSON array");
  c->add_flag("--ignore-eos", o->ignore_eos, "Go on past a stop id");
  commands.emplace_back(c, [o] { return run(*o); });
}

}  // namespace tenon::tool
