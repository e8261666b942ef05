#include "sampling.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <random>

namespace tenon::tool {

api::SamplingParams SamplingOptions::params(const api::Model& model) const {
  api::SamplingParams s = model.default_sampling();
  const auto given = [&](const char* flag) { return command->count(flag) > 0; };
  if (given("--temp")) s.temperature = static_cast<float>(temperature);
  if (given("--top-k")) s.top_k = top_k;
  if (given("--top-p")) s.top_p = static_cast<float>(top_p);
  if (given("--min-p")) s.min_p = static_cast<float>(min_p);
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
  command.add_option("--seed", options.seed, "Same seed, same text; random without it")->type_name("S");
}

static double rate(size_t n, double seconds) { return seconds > 0 ? static_cast<double>(n) / seconds : 0; }

/// The first token comes with the prompt.
static double decode_rate(const api::Generation& g) { return rate(g.ids.empty() ? 0 : g.ids.size() - 1, g.decode_s); }

Value generation_value(const api::Generation& g, const api::Model& model) {
  const auto n_prompt = g.prompt_tokens, n_new = static_cast<int64_t>(g.ids.size());
  return Value::Object{
      {"text", g.text},
      {"ids", Value::Array(g.ids.begin(), g.ids.end())},
      {"finish_reason", g.finish_reason},
      {"usage",
       Value::Object{
           {"prompt_tokens", n_prompt}, {"completion_tokens", n_new}, {"total_tokens", Value(n_prompt + n_new)}}},
      {"timings", Value::Object{{"load_s", model.info().load_s},
                                {"prompt_s", g.prompt_s},
                                {"decode_s", g.decode_s},
                                {"prompt_tokens_per_s", rate(static_cast<size_t>(n_prompt), g.prompt_s)},
                                {"decode_tokens_per_s", decode_rate(g)}}}};
}

void print_speed(const api::Generation& g) {
  fmt::print(stderr, "[{} prompt tokens in {:.2f} s, {} tokens at {:.1f} per second]\n", g.prompt_tokens, g.prompt_s,
             g.ids.size(), decode_rate(g));
}

}  // namespace tenon::tool
