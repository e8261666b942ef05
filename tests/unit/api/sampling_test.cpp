// Answers of a fixture model: stop strings, logprobs, several answers, reused prefixes, many requests at once.
#include <unistd.h>

#include <fstream>
#include <map>
#include <random>

#include "api/tenon.hpp"
#include "engine/session.hpp"
#include "fixture_rows.hpp"

#ifdef __SANITIZE_ADDRESS__
extern "C" size_t __sanitizer_get_current_allocated_bytes();
#endif

using namespace tenon;
using namespace tenon::test;

namespace {

std::optional<api::Model> load(double reuse, int64_t max_tokens = 64) {
  const auto row = shared("models/llama");
  if (!row) return std::nullopt;
  const auto plugins = plugins_of_build("llama");
  if (!plugins) return std::nullopt;
  api::LoadOptions options{.threads = 1, .exact = true, .plugin_dirs = {*plugins}, .ctx = 400};
  options.max_tokens = max_tokens;
  options.reuse = reuse;
  return api::Model::load(*row / "hf", options);
}

api::GenerateOptions free_text(uint64_t seed, int64_t n = 40) {
  api::GenerateOptions options{.max_new_tokens = n, .sampling = {.temperature = 1.5f, .seed = seed}};
  options.ignore_eos = options.show_special = true;
  return options;
}

std::vector<int32_t> prompt_of(size_t n, uint32_t seed) {
  std::vector<int32_t> out;
  for (size_t i = 0; i < n; ++i) out.push_back(static_cast<int32_t>((i * 37 + seed * 101 + i * i % 13) % 300 + 3));
  return out;
}

/// Of the process; under AddressSanitizer, which holds freed memory back for a while, what is allocated.
int64_t used_kib() {
#ifdef __SANITIZE_ADDRESS__
  return static_cast<int64_t>(__sanitizer_get_current_allocated_bytes()) / 1024;
#else
  std::ifstream in("/proc/self/statm");
  int64_t all = 0, resident = 0;
  in >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE) / 1024;
#endif
}

}  // namespace

TEST_CASE("stop strings end the text before them and are never shown") {
  auto model = load(0.5);
  if (!model) return;
  int across = 0;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    auto options = free_text(seed);
    const std::string whole = model->generate({5, 6, 7}, options).text;
    // A stop string out of the middle of the text, three characters or more long.
    size_t from = whole.size() / 2, to = from + 4;
    while (from > 0 && (whole[from] & 0xc0) == 0x80) --from;
    while (to < whole.size() && (whole[to] & 0xc0) == 0x80) ++to;
    const std::string stop = whole.substr(from, to - from);
    if (!is_utf8(stop) || stop.empty()) continue;
    options.stop = {stop, "never to be seen"};
    std::string streamed;
    options.on_token = [&](std::string_view text, int32_t) {
      streamed += text;
      return true;
    };
    const auto cut = model->generate({5, 6, 7}, options);
    CHECK(cut.text == whole.substr(0, whole.find(stop)));
    CHECK(streamed == cut.text);
    CHECK(cut.finish_reason == "stop");
    CHECK(cut.reason == FinishReason::stop);
    across += model->text().decode(std::vector<int32_t>{cut.ids.back()}).size() < stop.size();

    options.want_text = false;
    CHECK(model->generate({5, 6, 7}, options).ids == cut.ids);
  }
  CHECK(across > 0);
  auto options = free_text(1);
  options.stop.assign(17, "x");
  CHECK_THROWS_AS(model->generate({5}, options), Error);
}

TEST_CASE("several answers: the first is the only one's, the others differ and repeat") {
  auto model = load(0.5);
  if (!model) return;
  const auto options = free_text(77);
  const auto prompt = prompt_of(100, 1);
  const auto alone = model->generate(prompt, options);
  std::map<int32_t, std::string> streamed;
  const auto listener = [&](int32_t answer, std::string_view text, int32_t) {
    streamed[answer] += text;
    return true;
  };
  const auto answers = model->generate_n(prompt, 5, options, listener);
  REQUIRE(answers.size() == 5);
  CHECK(answers[0].ids == alone.ids);
  for (int32_t i = 0; i < 5; ++i) CHECK(streamed[i] == answers[static_cast<size_t>(i)].text);
  for (size_t i = 1; i < 5; ++i) {
    CHECK(answers[i].ids != answers[i - 1].ids);
    CHECK(answers[i].reused_tokens == 96);
  }
  const auto again = model->generate_n(prompt, 3, options);
  for (size_t i = 0; i < 3; ++i) CHECK(again[i].ids == answers[i].ids);
  CHECK_THROWS_AS(model->generate_n(prompt, 0, options), Error);
  CHECK_THROWS_AS(model->generate_n(prompt, 129, options), Error);
  const std::atomic<bool> cancelled = true;
  auto stopped = options;
  stopped.cancel = &cancelled;
  for (const auto& g : model->generate_n(prompt, 3, stopped)) CHECK(g.finish_reason == "cancelled");
}

TEST_CASE("logprobs equal the log-softmax of the logits") {
  auto model = load(0.5);
  if (!model) return;
  auto options = free_text(3, 10);
  options.logprobs = 4;
  options.sampling.repetition_penalty = 1.3f;
  const auto g = model->generate(prompt_of(20, 2), options);
  auto all = prompt_of(20, 2);
  all.insert(all.end(), g.ids.begin(), g.ids.end());
  Session session(model->core().runner(), {.planned_len = 30});
  std::vector<float> logits;
  for (int32_t id : all) session.append({&id, 1}, Rows::last, logits);
  REQUIRE(g.logprobs.size() == 10);
  for (size_t i = 0; i < 10; ++i) {
    const auto n = static_cast<size_t>(model->n_vocab());
    const auto expected = token_logprobs(std::span(logits).subspan((19 + i) * n, n), g.ids[i], 4);
    CHECK(g.logprobs[i].logprob == doctest::Approx(expected.logprob).epsilon(1e-4));
    CHECK(g.logprobs[i].top[0].first == expected.top[0].first);
  }
}

TEST_CASE("a reused prefix changes nothing") {
  auto with = load(0.5), without = load(0);
  if (!with || !without) return;
  CHECK(with->core().runner().prefixes());
  CHECK_FALSE(without->core().runner().prefixes());
  for (uint32_t round = 0; round < 6; ++round) {
    auto options = free_text(round, 30);
    options.logprobs = 20;
    if (round % 2) options.sampling.temperature = 0;
    auto prompt = prompt_of(140, round / 4);
    if (round == 2) prompt[70] = 9;
    const auto a = with->generate(prompt, options), b = without->generate(prompt, options);
    CHECK(a.reused_tokens == (round == 0 || round == 4 ? 0 : round == 2 ? 64 : 128));
    CHECK(b.reused_tokens == 0);
    CHECK(a.ids == b.ids);
    for (size_t i = 0; i < a.logprobs.size(); ++i)
      CHECK(a.logprobs[i].logprob == doctest::Approx(b.logprobs[i].logprob).epsilon(1e-4));
  }
}

TEST_CASE("the same step over a reused prefix gives the same bits") {
  auto model = load(0.5);
  if (!model) return;
  Runner& runner = model->core().runner();
  const auto tokens = prompt_of(84, 5);
  const auto rest = [&](SeqCache& seq) {
    Step step(runner);
    step.add(seq, std::span(tokens).subspan(64), Rows::last);
    step.run();
    const auto row = step.logits(0);
    return std::vector<float>(row.begin(), row.end());
  };
  PrefixCache::Hold first_hold, second_hold;
  auto first = runner.admit(84, tokens, first_hold);
  REQUIRE(first);
  {
    Step step(runner);
    step.add(*first, std::span(tokens).first(64), Rows::none);
    step.run();
  }
  for (size_t page = 0; page < 2; ++page) {
    REQUIRE(runner.prefixes()->append(first_hold, std::span(tokens).subspan(page * 32).first<32>(),
                                      first->tables()[0][page]));
    first->disown(page);
  }
  const auto expected = rest(*first);
  auto second = runner.admit(84, tokens, second_hold);
  REQUIRE(second);
  CHECK(second->length() == 64);
  CHECK(rest(*second) == expected);
}

TEST_CASE("32 sequences at random times, some cancelled: each equals its solo run") {
  auto model = load(0.5), other = load(0);
  if (!model || !other) return;
  std::mt19937 rng(9);
  Engine engine(model->core().runner()), solo(other->core().runner());
  std::map<RequestId, Request> requests;
  std::map<RequestId, Result> results;
  while (requests.size() < 32 || engine.step()) {
    if (requests.size() < 32 && rng() % 3 == 0) {
      Request r{.prompt = prompt_of(1 + rng() % 150, rng() % 4),
                .max_new_tokens = static_cast<int64_t>(1 + rng() % 50)};
      r.ignore_eos = rng() % 2;
      if (rng() % 2) r.sampling = {.temperature = 1, .seed = rng(), .repetition_penalty = 1.1f};
      Request copy = r;
      r.on_finish = [&](Result result) { results[result.id] = std::move(result); };
      requests[engine.submit(std::move(r))] = std::move(copy);
    }
    if (rng() % 25 == 0) engine.cancel(1 + rng() % 32);
    if (requests.size() < 32) engine.step();
  }
  REQUIRE(results.size() == 32);
  int cancelled = 0;
  for (const auto& [id, result] : results) {
    const auto alone = solo.run(requests[id]).tokens;
    cancelled += result.reason == FinishReason::cancelled;
    REQUIRE(result.tokens.size() <= alone.size());
    if (result.reason != FinishReason::cancelled) CHECK(result.tokens.size() == alone.size());
    CHECK(std::equal(result.tokens.begin(), result.tokens.end(), alone.begin()));
  }
  CHECK(cancelled > 0);
  CHECK(cancelled < 16);
  CHECK(engine.stats().reused_tokens > 0);
}

TEST_CASE("memory stays flat over 2000 requests") {
  auto model = load(0.5);
  if (!model) return;
  std::mt19937 rng(3);
  Engine engine(model->core().runner());
  int64_t after_500 = 0, finished = 0;
  for (int i = 0; i < 2000; ++i) {
    Request r{.prompt = prompt_of(1 + rng() % 90, rng()), .max_new_tokens = static_cast<int64_t>(1 + rng() % 6)};
    r.sampling.frequency_penalty = 0.1f;
    r.logprobs = 2;
    r.on_finish = [&](Result) { ++finished; };
    engine.submit(std::move(r));
    while (engine.stats().waiting > 8) engine.step();
    if (i == 500) after_500 = used_kib();
  }
  engine.run_until_idle();
  CHECK(finished == 2000);
  CHECK(used_kib() - after_500 < 2048);
  Runner& runner = model->core().runner();
  CHECK(runner.pages().used() == runner.prefixes()->idle());
  CHECK(runner.pages().used() <= runner.pages().total() / 2);
}
