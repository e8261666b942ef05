// tenon bench: prompt and decode speed, beside what the machine's memory could deliver.
#include <fmt/format.h>

#include <memory>

#include "bandwidth.hpp"
#include "commands.hpp"
#include "options.hpp"

namespace tenon::tool {

namespace {

struct BenchOptions {
  ModelOptions model;
  api::BenchOptions bench;
};

/// Share of the read bandwidth that single-sequence decoding uses; 0 when it was not measured.
double decode_share(const api::BenchResult& result, uint64_t bytes_per_token, double bandwidth) {
  for (const api::BenchTest& t : result.tests)
    if (t.n_gen > 0 && t.batch == 1) return static_cast<double>(bytes_per_token) * t.median / bandwidth;
  return 0;
}

Value test_value(const api::BenchTest& t) {
  return Value::Object{
      {"n_prompt", t.n_prompt}, {"n_gen", t.n_gen},   {"batch", t.batch},
      {"mean", t.mean},         {"median", t.median}, {"stddev", t.stddev},
      {"min", t.min},           {"max", t.max},       {"samples", Value::Array(t.samples.begin(), t.samples.end())}};
}

void print_table(const api::BenchResult& result, double bandwidth, double share) {
  fmt::print("{:<14} {:>6} {:>10} {:>10} {:>9} {:>10} {:>10}\n", "test", "batch", "mean", "median", "stddev", "min",
             "max");
  for (const api::BenchTest& t : result.tests) {
    const std::string name = t.n_gen ? fmt::format("decode {}", t.n_gen) : fmt::format("prompt {}", t.n_prompt);
    fmt::print("{:<14} {:>6} {:>10.2f} {:>10.2f} {:>9.2f} {:>10.2f} {:>10.2f}\n", name, t.batch, t.mean, t.median,
               t.stddev, t.min, t.max);
  }
  fmt::print("tokens per second; load {:.2f} s, first token {:.3f} s, peak memory {} MiB, {}\n", result.load_s,
             result.ttft_s, result.peak_rss_bytes >> 20, result.isa);
  fmt::print("memory reads {:.1f} GB/s", bandwidth / 1e9);
  if (share > 0) fmt::print(", of which decoding uses {:.0f} %", share * 100);
  fmt::print("\n");
}

int run(BenchOptions& o) {
  api::Model model =
      load_model(o.model, [&](api::LoadOptions load) { return api::bench_load_options(std::move(load), o.bench); });
  Progress progress;
  o.bench.progress = [&](std::string_view what, uint64_t done, uint64_t total) { progress.update(what, done, total); };
  const api::BenchResult result = model.bench(o.bench);
  progress.clear();
  const double bandwidth =
      measure_read_bandwidth(o.model.plugins.threads ? o.model.plugins.threads : api::machine().processors);
  const double share = decode_share(result, model.info().decode_bytes, bandwidth);
  if (!o.model.plugins.json) {
    print_table(result, bandwidth, share);
    return 0;
  }
  Value::Array tests;
  for (const api::BenchTest& t : result.tests) tests.push_back(test_value(t));
  write_out(to_json(Value::Object{{"tests", std::move(tests)},
                                  {"load_s", result.load_s},
                                  {"ttft_s", result.ttft_s},
                                  {"peak_rss_bytes", static_cast<int64_t>(result.peak_rss_bytes)},
                                  {"isa", result.isa},
                                  {"bytes_per_token", static_cast<int64_t>(model.info().decode_bytes)},
                                  {"bandwidth_gbs", bandwidth / 1e9},
                                  {"decode_bandwidth_share", share > 0 ? Value(share) : Value()}}) +
            "\n");
  return 0;
}

}  // namespace

void add_bench(CLI::App& app, Commands& commands) {
  auto o = std::make_shared<BenchOptions>();
  CLI::App* c = app.add_subcommand("bench", "Measure prompt and decode speed");
  add_model_options(*c, o->model);
  c->add_option("-p,--n-prompt", o->bench.n_prompt, "Prompt tokens; 0 leaves that test out")
      ->type_name("N")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30));
  c->add_option("-n,--n-gen", o->bench.n_gen, "New tokens; 0 leaves that test out")
      ->type_name("N")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30));
  c->add_option("-r,--repeats", o->bench.repeats, "Repeats")->type_name("R")->check(CLI::Range(1, 10000));
  c->add_option("--batch", o->bench.batch, "Sequences side by side")->type_name("B")->check(CLI::Range(1, 1024));
  commands.emplace_back(c, [o] { return run(*o); });
}

}  // namespace tenon::tool
