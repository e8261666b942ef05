#include "sampling.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <map>
#include <random>

#include "options.hpp"

namespace tenon::tool {

namespace {

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
  Value::Object out{
      {"text", g.text}, {"ids", Value::Array(g.ids.begin(), g.ids.end())}, {"finish_reason", g.finish_reason}};
  if (logprobs) out.emplace_back("logprobs", logprobs_value(g, model));
  return out;
}

}  // namespace

api::SamplingParams SamplingOptions::params(const api::Model& model) const {
  api::SamplingParams s = model.default_sampling();
  const auto given = [&](const char* flag) { return command->count(flag) > 0; };
  if (given("--temp")) s.temperature = static_cast<float>(temperature);
  if (given("--top-k")) s.top_k = top_k;
  if (given("--top-p")) s.top_p = static_cast<float>(top_p);
  if (given("--min-p")) s.min_p = static_cast<float>(min_p);
  // Temperature 0 takes the model's largest logit: a recommended penalty must not bend that unasked.
  if (given("--temp") && temperature == 0) s.repetition_penalty = 1;
  if (given("--repeat-penalty")) s.repetition_penalty = static_cast<float>(repetition_penalty);
  if (given("--presence-penalty")) s.presence_penalty = static_cast<float>(presence_penalty);
  if (given("--frequency-penalty")) s.frequency_penalty = static_cast<float>(frequency_penalty);
  s.logit_bias = bias_of(logit_bias);
  s.seed = given("--seed") ? seed : std::random_device{}();
  s.validate();
  return s;
}

void add_sampling_options(CLI::App& command, SamplingOptions& options) {
  options.command = &command;
  command
      .add_option("-n,--max-tokens", options.n,
                  "New tokens at most; -1 goes on until a stop id or the end of the context")
      ->type_name("N")
      ->check(CLI::Range(int64_t{-1}, int64_t{1} << 40));
  command.add_option("--temp,--temperature", options.temperature, "0 takes the largest logit")->type_name("T");
  command.add_option("--top-k", options.top_k, "Sample among the k likeliest; 0 for all")->type_name("K");
  command.add_option("--top-p", options.top_p, "Sample among the likeliest that reach this mass")->type_name("P");
  command.add_option("--min-p", options.min_p, "Sample among those of at least this share of the likeliest")
      ->type_name("P");
  command
      .add_option("--repeat-penalty,--repetition-penalty", options.repetition_penalty,
                  "Divide the logits of tokens in prompt and answer; 1 for none")
      ->type_name("R");
  command.add_option("--presence-penalty", options.presence_penalty, "Lower the logits of tokens in the answer")
      ->type_name("P");
  command.add_option("--frequency-penalty", options.frequency_penalty, "The same for each time that they came")
      ->type_name("P");
  command.add_option("--logit-bias", options.logit_bias, "Add to the logit of a token (repeatable)")
      ->allow_extra_args(false)
      ->type_name("ID=BIAS");
  command.add_option("--stop", options.stop, "End before this text (repeatable)")
      ->allow_extra_args(false)
      ->type_name("TEXT");
  command.add_option("--seed", options.seed, "Same seed, same text; random without it")->type_name("S");
}

Value answers_value(const std::vector<api::Generation>& answers, const api::Model& model, bool logprobs) {
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

void print_speed(const api::Generation& g) {
  const size_t decoded = g.ids.empty() ? 0 : g.ids.size() - 1;
  fmt::print(stderr, "[{} prompt tokens in {:.2f} s, {} tokens at {:.1f} per second]\n", g.prompt_tokens, g.prompt_s,
             g.ids.size(), rate(decoded, g.decode_s));
}

}  // namespace tenon::tool
