// tenon run: one prompt, its continuation streamed to stdout.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <csignal>
#include <map>
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
  double repetition_penalty = 1, presence_penalty = 0, frequency_penalty = 0;
  std::vector<std::string> logit_bias, stop;
  int32_t top_k = 0, logprobs = 0, answers = 1;
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
  if (o.given("--logprobs") && !o.model.plugins.json) fail(ErrorCode::usage, "[run] --logprobs is for --json only");
}

std::string prompt_text(const RunOptions& o) {
  const std::string& word = o.given("-p") ? o.prompt_flag : o.prompt_word;
  return word == "-" ? read_input("-") : word;
}

/// "ID=BIAS", the last one counts for each id.
std::map<int32_t, float> bias_of(const std::vector<std::string>& words) {
  std::map<int32_t, float> out;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    const char *begin = word.data() + std::min(equals, word.size() - 1) + 1, *end = word.data() + word.size();
    float bias = 0;
    const auto [stopped, error] = std::from_chars(begin, end, bias);
    if (equals == std::string::npos || error != std::errc() || stopped != end)
      fail(ErrorCode::usage, "[--logit-bias] '{}' is not ID=BIAS", word);
    out[parse_ids(word.substr(0, equals), "--logit-bias").at(0)] = bias;
  }
  return out;
}

api::SamplingParams sampling_of(const RunOptions& o, const api::Model& model) {
  api::SamplingParams s = model.default_sampling();
  if (o.given("--temp")) s.temperature = static_cast<float>(o.temperature);
  if (o.given("--top-k")) s.top_k = o.top_k;
  if (o.given("--top-p")) s.top_p = static_cast<float>(o.top_p);
  if (o.given("--min-p")) s.min_p = static_cast<float>(o.min_p);
  // Temperature 0 takes the model's largest logit: a recommended penalty must not bend that unasked.
  if (o.given("--temp") && o.temperature == 0) s.repetition_penalty = 1;
  if (o.given("--repeat-penalty")) s.repetition_penalty = static_cast<float>(o.repetition_penalty);
  if (o.given("--presence-penalty")) s.presence_penalty = static_cast<float>(o.presence_penalty);
  if (o.given("--frequency-penalty")) s.frequency_penalty = static_cast<float>(o.frequency_penalty);
  s.logit_bias = bias_of(o.logit_bias);
  s.seed = o.given("--seed") ? o.seed : std::random_device{}();
  s.validate();
  return s;
}

Value::Array ids_value(const std::vector<int32_t>& ids) { return Value::Array(ids.begin(), ids.end()); }

double rate(size_t n, double seconds) { return seconds > 0 ? static_cast<double>(n) / seconds : 0; }

Value logprob_value(const api::Model& model, int32_t id, float logprob) {
  return Value::Object{{"id", Value(id)}, {"token", model.token_text(id)}, {"logprob", static_cast<double>(logprob)}};
}

/// Per token {id, token, logprob, top_logprobs: [{id, token, logprob}, ...]}.
Value logprobs_value(const api::Generation& g, const api::Model& model) {
  Value::Array tokens;
  for (size_t i = 0; i < g.logprobs.size(); ++i) {
    Value::Object token = logprob_value(model, g.ids[i], g.logprobs[i].logprob).as_object();
    Value::Array top;
    for (auto [id, logprob] : g.logprobs[i].top) top.push_back(logprob_value(model, id, logprob));
    token.emplace_back("top_logprobs", std::move(top));
    tokens.emplace_back(std::move(token));
  }
  return tokens;
}

Value::Object answer_value(const api::Generation& g, const api::Model& model, bool logprobs) {
  Value::Object out{{"text", g.text}, {"ids", ids_value(g.ids)}, {"finish_reason", g.finish_reason}};
  if (logprobs) out.emplace_back("logprobs", logprobs_value(g, model));
  return out;
}

/// Of one answer all on the top level; of several a list of choices, beside the sums over all of them.
Value result_value(const std::vector<api::Generation>& answers, const api::Model& model, bool logprobs) {
  const api::Generation& first = answers.front();
  int64_t n_new = 0, decoded = 0;
  double decode_s = 0;
  Value::Array choices;
  for (const api::Generation& g : answers) {
    n_new += static_cast<int64_t>(g.ids.size());
    decoded += g.ids.empty() ? 0 : static_cast<int64_t>(g.ids.size()) - 1;  // the first token comes with the prompt
    decode_s = std::max(decode_s, g.decode_s);
    choices.emplace_back(answer_value(g, model, logprobs));
  }
  Value::Object out;
  if (answers.size() == 1)
    out = choices.front().as_object();
  else
    out.emplace_back("choices", std::move(choices));
  const int64_t n_prompt = first.prompt_tokens;
  out.emplace_back("usage", Value::Object{{"prompt_tokens", n_prompt},
                                          {"completion_tokens", n_new},
                                          {"total_tokens", Value(n_prompt + n_new)}});
  out.emplace_back("timings",
                   Value::Object{{"load_s", model.info().load_s},
                                 {"prompt_s", first.prompt_s},
                                 {"decode_s", decode_s},
                                 {"prompt_tokens_per_s", rate(static_cast<size_t>(n_prompt), first.prompt_s)},
                                 {"decode_tokens_per_s", rate(static_cast<size_t>(decoded), decode_s)}});
  return out;
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

  const bool stream = !o.ids && !o.model.plugins.json && o.answers == 1;
  api::GenerateOptions g;
  g.max_new_tokens = o.n;
  g.sampling = sampling_of(o, model);
  g.ignore_eos = o.ignore_eos;
  g.want_text = !o.ids;
  g.stop = o.stop;
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
    write_out(to_json(result_value(answers, model, o.given("--logprobs"))) + "\n");
  else if (stream)
    finish_text(answers.front());
  else
    for (const api::Generation& answer : answers)
      write_out((o.ids ? to_json(ids_value(answer.ids)) : answer.text) + "\n");
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
  c->add_option("--repeat-penalty,--repetition-penalty", o->repetition_penalty,
                "Divide the logits of tokens in prompt and answer; 1 for none")
      ->type_name("R");
  c->add_option("--presence-penalty", o->presence_penalty, "Lower the logits of tokens in the answer")->type_name("P");
  c->add_option("--frequency-penalty", o->frequency_penalty, "The same for each time that they came")->type_name("P");
  c->add_option("--logit-bias", o->logit_bias, "Add to the logit of a token (repeatable)")
      ->allow_extra_args(false)
      ->type_name("ID=BIAS");
  c->add_option("--stop", o->stop, "End before this text (repeatable)")->allow_extra_args(false)->type_name("TEXT");
  c->add_option("--logprobs", o->logprobs, "With --json: log-probabilities, also of so many likeliest tokens")
      ->type_name("N")
      ->check(CLI::Range(0, 20));
  c->add_option("--n", o->answers, "Answers to the same prompt, printed one after another")
      ->type_name("N")
      ->check(CLI::Range(1, 128));
  c->add_option("--seed", o->seed, "Same seed, same text; random without it")->type_name("S");
  c->add_flag("--raw", o->raw, "No chat template");
  c->add_flag("--ids", o->ids, "Print the generated ids as one JSON array");
  c->add_flag("--ignore-eos", o->ignore_eos, "Go on past a stop id");
  commands.emplace_back(c, [o] { return run(*o); });
}

}  // namespace tenon::tool
