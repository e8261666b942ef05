// Speed: prompts of random tokens, then decoding, over a batch of sequences; through the same steps as everything else.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "api/model.hpp"
#include "base/error.hpp"

namespace tenon::api {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::vector<int32_t> random_tokens(int64_t n, int64_t n_vocab, uint64_t seed) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < n; ++i)
    tokens.push_back(static_cast<int32_t>(uniform_at(seed, static_cast<uint64_t>(i)) * static_cast<double>(n_vocab)));
  return tokens;
}

std::vector<SeqCache> admit(Runner& runner, int batch, int64_t planned_len) {
  std::vector<SeqCache> seqs;
  for (int i = 0; i < batch; ++i) {
    auto seq = runner.admit(planned_len);
    if (!seq) fail(ErrorCode::capacity, "[bench] {} sequences of {} tokens do not fit the pages", batch, planned_len);
    seqs.push_back(std::move(*seq));
  }
  return seqs;
}

double prompt_speed(Runner& runner, int batch, int64_t n_prompt) {
  auto seqs = admit(runner, batch, n_prompt);
  const auto tokens = random_tokens(n_prompt, runner.limits().n_vocab, 1);
  const auto start = Clock::now();
  size_t done = 0;
  while (done < seqs.size()) {
    Step step(runner);
    for (size_t i = done; i < seqs.size() && step.tokens_left() > 0; ++i) {
      const auto rest = std::span(tokens).subspan(static_cast<size_t>(seqs[i].length()));
      const auto n = std::min(rest.size(), static_cast<size_t>(step.tokens_left()));
      if (runner.limits().whole && n < rest.size()) break;
      step.add(seqs[i], rest.first(n), n == rest.size() ? Rows::last : Rows::none);
    }
    step.run();
    while (done < seqs.size() && seqs[done].length() == n_prompt) ++done;
  }
  return static_cast<double>(n_prompt * batch) / seconds_since(start);
}

double decode_speed(Runner& runner, int batch, int64_t n_gen) {
  auto seqs = admit(runner, batch, n_gen);
  const auto tokens = random_tokens(n_gen * batch, runner.limits().n_vocab, 2);
  const auto start = Clock::now();
  size_t next = 0;
  for (int64_t i = 0; i < n_gen; ++i) {
    Step step(runner);
    for (SeqCache& seq : seqs) step.add(seq, std::span(tokens).subspan(next++, 1), Rows::last);
    step.run();
  }
  return static_cast<double>(n_gen * batch) / seconds_since(start);
}

void summarise(BenchTest& test) {
  auto sorted = test.samples;
  std::sort(sorted.begin(), sorted.end());
  const auto n = sorted.size();
  test.min = sorted.front();
  test.max = sorted.back();
  test.median = n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
  test.mean = std::accumulate(sorted.begin(), sorted.end(), 0.0) / static_cast<double>(n);
  double squares = 0;
  for (double x : sorted) squares += (x - test.mean) * (x - test.mean);
  test.stddev = n > 1 ? std::sqrt(squares / static_cast<double>(n - 1)) : 0;
}

double time_to_first_token(Runner& runner, int64_t n_prompt) {
  const int64_t n = std::clamp<int64_t>(n_prompt, 1, runner.limits().n_ctx - 1);
  Engine engine(runner);
  const auto start = Clock::now();
  double first = 0;
  Request request{.prompt = random_tokens(n, runner.limits().n_vocab, 3), .max_new_tokens = 1};
  request.ignore_eos = true;
  request.on_token = [&](const NewToken&) { return first = seconds_since(start), true; };
  const auto result = engine.run(std::move(request));
  if (result.reason == FinishReason::error) fail(ErrorCode::internal, "[bench] {}", result.error);
  return first;
}

uint64_t peak_rss() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) << 10;
}

void check(const BenchOptions& options, const RunnerLimits& limits) {
  const int64_t longest = std::max(options.n_prompt, options.n_gen);
  if (options.n_prompt < 0 || options.n_gen < 0 || longest > limits.n_ctx)
    fail(ErrorCode::usage, "[bench] {} prompt and {} generated tokens, the context is {}", options.n_prompt,
         options.n_gen, limits.n_ctx);
  if (options.batch < 1 || options.batch > limits.max_seqs)
    fail(ErrorCode::usage, "[bench] a batch of {}, the limit is {}", options.batch, limits.max_seqs);
  if (options.repeats < 1) fail(ErrorCode::usage, "[bench] {} repeats", options.repeats);
}

}  // namespace

LoadOptions bench_load_options(LoadOptions base, const BenchOptions& options) {
  base.max_seqs = std::max<int64_t>(1, options.batch);
  base.max_tokens = std::max(base.max_tokens, base.max_seqs);
  return base;
}

BenchResult Model::bench(const BenchOptions& options) {
  Runner& runner = model_->runner();
  check(options, runner.limits());
  BenchResult result;
  result.load_s = info().load_s;
  result.isa = info().isa;

  const auto measure = [&](BenchTest test, std::string_view what, const auto& once) {
    once();  // warm-up: pages touched, clocks up
    for (int i = 0; i < options.repeats; ++i) {
      if (options.progress) options.progress(what, static_cast<uint64_t>(i), static_cast<uint64_t>(options.repeats));
      test.samples.push_back(once());
    }
    summarise(test);
    result.tests.push_back(std::move(test));
  };
  if (options.n_prompt > 0)
    measure({.n_prompt = options.n_prompt, .batch = options.batch}, "prompt",
            [&] { return prompt_speed(runner, options.batch, options.n_prompt); });
  if (options.n_gen > 0)
    measure({.n_gen = options.n_gen, .batch = options.batch}, "decode",
            [&] { return decode_speed(runner, options.batch, options.n_gen); });
  result.ttft_s = time_to_first_token(runner, options.n_prompt);
  result.peak_rss_bytes = peak_rss();
  return result;
}

}  // namespace tenon::api
