// tenon grammar: what a constraint lets through, without a model.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "commands.hpp"
#include "constraint.hpp"
#include "options.hpp"
#include "vocabulary.hpp"

namespace tenon::tool {

namespace {

struct GrammarOptions {
  ConstraintOptions constraint;
  VocabularyOptions vocabulary;
  std::string text;
  int64_t n = 1;
  api::SampleOptions sample;
};

grammar::Grammar required(const GrammarOptions& o) {
  auto grammar = o.constraint.read();
  if (!grammar) fail(ErrorCode::usage, "[grammar] one of --json-schema, --regex, --grammar, --choice, --json-object");
  return std::move(*grammar);
}

int check(const GrammarOptions& o) {
  const int64_t byte = api::first_rejected(required(o), read_input(o.text));
  if (o.vocabulary.plugins.json)
    write_out(to_json(Value(Value::Object{{"accept", byte < 0}, {"byte", byte < 0 ? Value() : Value(byte)}})) + "\n");
  else
    write_out(byte < 0 ? "accept\n" : fmt::format("reject at byte {}\n", byte));
  return byte < 0 ? 0 : 1;
}

int sample(const GrammarOptions& o) {
  const grammar::Grammar grammar = required(o);
  const auto trie = grammar::VocabularyTrie::of(o.vocabulary.load().tokenizer());
  api::SampleOptions options = o.sample;
  int status = 0;
  for (int64_t i = 0; i < o.n; ++i, ++options.seed) {
    grammar::TokenMasks masks(grammar::Compiled::compile(grammar), trie);  // each with all the states it may make
    const api::Sample drawn = api::random_sample(masks, options);
    if (!drawn.complete) status = 1;
    const Value line = o.vocabulary.plugins.json
                           ? Value(Value::Object{{"text", drawn.text}, {"complete", drawn.complete}})
                           : Value(drawn.text);
    write_out(to_json(line) + "\n");
  }
  return status;
}

double percentile(std::vector<double> times, double p) {
  std::sort(times.begin(), times.end());
  return times.empty() ? 0
                       : times[std::min(times.size() - 1, static_cast<size_t>(p * static_cast<double>(times.size())))];
}

Value spread(const std::vector<double>& times) {
  return Value(Value::Object{{"n", static_cast<int64_t>(times.size())},
                             {"p50", percentile(times, 0.5)},
                             {"p99", percentile(times, 0.99)},
                             {"max", percentile(times, 1)}});
}

/// Lines of {schema, valid_text: [...]}.
int bench(const GrammarOptions& o) {
  const api::Text text = o.vocabulary.load();
  const auto trie = grammar::VocabularyTrie::of(text.tokenizer());
  const std::string lines = read_input(o.text);
  std::vector<double> compile, cold, warm;
  int64_t refused = 0;
  for (size_t at = 0, end = 0; at < lines.size(); at = end + 1) {
    end = std::min(lines.find('\n', at), lines.size());
    const Value c = parse_json(std::string_view(lines).substr(at, end - at), o.text);
    const Value *schema = c.find("schema"), *texts = c.find("valid_text");
    if (!schema || !texts || !texts->is_array())
      fail(ErrorCode::usage, "[{}] a line without schema and valid_text", o.text);
    try {
      const auto start = std::chrono::steady_clock::now();
      const grammar::Grammar grammar = grammar::from_json_schema(*schema);
      const std::chrono::duration<double, std::milli> read = std::chrono::steady_clock::now() - start;
      for (const Value& valid : texts->as_array()) {
        const auto times = api::time_masks(grammar, trie, text.encode(valid.as_string(), {.add_special = false}));
        compile.push_back(read.count() + times.compile_ms);
        cold.insert(cold.end(), times.cold_us.begin(), times.cold_us.end());
        warm.insert(warm.end(), times.warm_us.begin(), times.warm_us.end());
      }
    } catch (const Error& e) {
      if (e.code() != ErrorCode::unsupported) throw;
      ++refused;
    }
  }
  write_out(to_json(Value(Value::Object{{"refused", refused},
                                        {"compile_ms", spread(compile)},
                                        {"mask_cold_us", spread(cold)},
                                        {"mask_warm_us", spread(warm)}})) +
            "\n");
  return 0;
}

}  // namespace

void add_grammar(CLI::App& app, Commands& commands) {
  CLI::App* grammar = app.add_subcommand("grammar", "What a schema, pattern or grammar lets through");
  grammar->require_subcommand(1);
  const auto add = [&](const char* name, const char* what, int (*run)(const GrammarOptions&)) {
    auto o = std::make_shared<GrammarOptions>();
    CLI::App* c = grammar->add_subcommand(name, what);
    commands.emplace_back(c, [o, run] { return run(*o); });
    return std::pair(c, o);
  };
  const auto [c, o] = add("check", "Say whether a text is accepted, and where it is rejected otherwise", check);
  add_constraint_options(*c, o->constraint);
  c->add_option("--text", o->text, "The text; - reads standard input")->type_name("FILE")->required();
  add_plugin_options(*c, o->vocabulary.plugins);

  const auto [s, so] =
      add("sample", "Print random texts that are accepted, a JSON string each; with --json {text, complete}", sample);
  add_vocabulary_options(*s, so->vocabulary);
  add_constraint_options(*s, so->constraint);
  s->add_option("--n", so->n, "How many")->check(CLI::Range(1, 1000000));
  s->add_option("--seed", so->sample.seed, "The first one's seed; the others count up");

  const auto [b, bo] = add("bench", "Measure masks along the valid texts of schemas", bench);
  add_vocabulary_options(*b, bo->vocabulary);
  b->add_option("--schemas", bo->text, "Lines of {schema, valid_text: [...]}")->type_name("FILE")->required();
}

}  // namespace tenon::tool
