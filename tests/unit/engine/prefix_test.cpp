// Prefix reuse: what is found, who owns pages, what goes first; and through the engine: answers stay what they were.
#include "engine/prefix.hpp"

#include <chrono>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "engine/engine.hpp"
#include "fake_model.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {

std::vector<int32_t> tokens_of(int64_t n, int32_t seed) {
  std::vector<int32_t> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(static_cast<int32_t>((i * 31 + seed * 17 + i * i % 7) % kPoison));
  return out;
}

/// Runs a sequence of these tokens by hand: what the engine does, without a model.
void leave(PrefixCache& cache, SeqPool& pool, const std::vector<int32_t>& tokens, std::string_view salt = "") {
  auto hold = cache.find(salt, tokens);
  auto seq = SeqCache::admit(pool, static_cast<int64_t>(tokens.size()), hold.pages());
  REQUIRE(seq);
  seq->cover(static_cast<int64_t>(tokens.size()));
  for (size_t page = hold.size(); (page + 1) * kPageTokens <= tokens.size(); ++page)
    if (cache.append(hold, std::span(tokens).subspan(page * kPageTokens).first<kPageTokens>(), seq->tables()[0][page]))
      seq->disown(page);
  seq.reset();
}

Request request(std::vector<int32_t> prompt, int64_t max_new, float temperature = 0, uint64_t seed = 0) {
  Request r{.prompt = std::move(prompt), .max_new_tokens = max_new};
  r.sampling.temperature = temperature;
  r.sampling.seed = seed;
  return r;
}

Result solo(const Request& r) {
  FakeModel model(fake_limits(300, 400));
  Engine engine(model.runner);
  return engine.run(r);
}

}  // namespace

TEST_CASE("whole pages are found as far as tokens agree") {
  SeqPool pool(FakeStates(20), 8, 512);
  PrefixCache cache(pool.pages(0), 20);
  const auto a = tokens_of(100, 1);
  leave(cache, pool, a);
  CHECK(cache.pages() == 3);
  CHECK(cache.idle() == 3);
  CHECK(pool.used() == 3);
  CHECK(pool.reserved() == 0);

  auto b = a;
  b[70] ^= 1;
  {
    const auto hold = cache.find("", b);
    CHECK(hold.size() == 2);
    CHECK(cache.idle() == 1);
  }
  CHECK(cache.idle() == 3);
  CHECK(cache.find("", std::span(a).first(96)).size() == 3);
  CHECK(cache.find("", std::span(a).first(95)).size() == 2);
  CHECK(cache.find("", std::span(a).subspan(32)).size() == 0);  // the same page after other tokens
  CHECK(cache.find("long", a).size() == 0);                     // the same tokens, other factors
  leave(cache, pool, b);
  CHECK(cache.pages() == 4);
  CHECK(pool.used() == 4);
}

TEST_CASE("an equal page of another running sequence stays that sequence's own") {
  SeqPool pool(FakeStates(10), 8, 512);
  PrefixCache cache(pool.pages(0), 10);
  const auto a = tokens_of(32, 1);
  auto first = cache.find("", a), second = cache.find("", a);
  auto one = SeqCache::admit(pool, 32), two = SeqCache::admit(pool, 32);
  one->cover(32);
  two->cover(32);
  const auto page = std::span(a).first<kPageTokens>();
  CHECK(cache.append(first, page, one->tables()[0][0]));
  one->disown(0);
  CHECK_FALSE(cache.append(second, page, two->tables()[0][0]));
  CHECK(second.size() == 1);
  one.reset();
  first = {};
  CHECK(cache.idle() == 0);  // the second still follows it
  two.reset();
  second = {};
  CHECK(cache.idle() == 1);
  CHECK(pool.used() == 1);
}

TEST_CASE("the least recently used go first, from their ends") {
  SeqPool pool(FakeStates(8), 8, 512);
  PrefixCache cache(pool.pages(0), 8);
  const auto a = tokens_of(96, 1), b = tokens_of(96, 2);
  leave(cache, pool, a);
  leave(cache, pool, b);
  (void)cache.find("", std::span(a).first(64));  // of the first, two pages are used again
  CHECK(pool.pages(0).left() == 2);
  CHECK(cache.make_room(3));
  CHECK(cache.find("", a).size() == 2);
  CHECK(cache.find("", b).size() == 3);
  (void)cache.find("", a);
  CHECK(cache.make_room(5));
  CHECK(cache.find("", b).size() == 1);
  const auto hold = cache.find("", a);
  CHECK_FALSE(cache.make_room(7));
  CHECK(cache.pages() == 3);
  CHECK(cache.make_room(6));
  CHECK(cache.find("", a).size() == 2);

  PrefixCache small(pool.pages(0), 1);
  leave(small, pool, b);
  CHECK(small.pages() == 1);
  CHECK(small.find("", b).size() == 1);
}

TEST_CASE("a prompt that was seen runs only what is new, with the same answer") {
  FakeModel model(fake_limits(300, 400), 64, 40);
  Engine engine(model.runner);
  const auto prompt = tokens_of(150, 3);
  const Result first = engine.run(request(prompt, 40));
  CHECK(first.n_reused == 0);
  const Result second = engine.run(request(prompt, 40));
  CHECK(second.n_reused == 128);
  CHECK(second.tokens == first.tokens);
  CHECK(model.executable.last_pieces.size() == 1);
  CHECK(engine.stats().reused_tokens == 128);
  CHECK(engine.stats().prompt_tokens == 150 + 22);

  // The conversation goes on: the answer's pages are there, too.
  auto longer = prompt;
  longer.insert(longer.end(), first.tokens.begin(), first.tokens.end());
  longer.push_back(5);
  const Result third = engine.run(request(longer, 20));
  CHECK(third.n_reused == (150 + 39) / 32 * 32);
  CHECK(third.tokens == solo(request(longer, 20)).tokens);

  // A prompt of whole pages still runs its last token.
  const std::vector<int32_t> whole(prompt.begin(), prompt.begin() + 128);
  const Result fourth = engine.run(request(whole, 8));
  CHECK(fourth.n_reused == 96);
  CHECK(fourth.tokens == solo(request(whole, 8)).tokens);
  CHECK(model.pages_are_back());
}

TEST_CASE("a running sequence shares its prompt at once") {
  FakeModel model(fake_limits(300, 400), 64, 40);
  Engine engine(model.runner);
  const auto prompt = tokens_of(100, 4);
  std::map<RequestId, Result> results;
  const auto submit = [&](uint64_t seed) {
    Request r = request(prompt, 30, 1.0f, seed);
    r.on_finish = [&](Result result) { results[result.id] = std::move(result); };
    return engine.submit(std::move(r));
  };
  const RequestId first = submit(1);
  engine.step();
  const RequestId second = submit(2);
  engine.step();
  CHECK(model.executable.last_pieces == std::vector<int32_t>{1, 4});
  CHECK(model.pages().used() == 5);  // four of the first, one more of the second
  engine.run_until_idle();
  CHECK(results.at(first).tokens == solo(request(prompt, 30, 1.0f, 1)).tokens);
  CHECK(results.at(second).tokens == solo(request(prompt, 30, 1.0f, 2)).tokens);
  CHECK(model.pages_are_back());
}

TEST_CASE("random conversations over few pages equal solo runs; nothing leaks") {
  for (uint32_t seed : {1u, 2u, 3u, 4u}) {
    std::mt19937 rng(seed);
    FakeModel model(fake_limits(64, 300, 6), 24, 16);
    Engine engine(model.runner);
    std::map<RequestId, Request> requests;
    std::map<RequestId, Result> results;
    while (requests.size() < 60 || engine.step()) {
      if (requests.size() < 60 && rng() % 3 == 0) {
        auto prompt = tokens_of(32 + rng() % 150, static_cast<int32_t>(rng() % 3));
        if (rng() % 4 == 0) prompt[rng() % prompt.size()] = 7;
        Request r = request(std::move(prompt), 1 + rng() % 60, rng() % 2 ? 1.0f : 0.0f, rng());
        Request copy = r;
        r.on_finish = [&](Result result) { results[result.id] = std::move(result); };
        requests[engine.submit(std::move(r))] = std::move(copy);
      }
      if (rng() % 20 == 0) engine.cancel(1 + rng() % 60);
      if (requests.size() < 60) engine.step();
      CHECK(model.pages().used() + model.pages().reserved() <= model.pages().total());
    }
    REQUIRE(results.size() == 60);
    int64_t reused = 0;
    for (const auto& [id, result] : results) {
      reused += result.n_reused;
      const auto alone = solo(requests[id]).tokens;
      if (result.reason == FinishReason::cancelled) {
        REQUIRE(result.tokens.size() <= alone.size());
        CHECK(std::equal(result.tokens.begin(), result.tokens.end(), alone.begin()));
      } else {
        CHECK(result.tokens == alone);
      }
    }
    CHECK(reused > 500);
    CHECK(model.pages_are_back());
    CHECK(model.pages().used() <= 16);
  }
}

TEST_CASE("a failed step leaves nothing wrong behind") {
  FakeModel model(fake_limits(40, 300), 24, 16);
  Engine engine(model.runner);
  const auto prompt = tokens_of(150, 3);
  model.executable.throw_at_step = 3;
  CHECK(engine.run(request(prompt, 10)).reason == FinishReason::error);
  const Result again = engine.run(request(prompt, 10));
  CHECK(again.n_reused == 64);
  CHECK(again.tokens == solo(request(prompt, 10)).tokens);
}

TEST_CASE("sessions get pages that lie idle") {
  FakeModel model(fake_limits(300, 400), 12, 12);
  Engine engine(model.runner);
  engine.run(request(tokens_of(300, 1), 10));
  CHECK(model.runner.pages().pages(0).left() == 3);
  CHECK(model.runner.admit(300));
}

TEST_CASE("two engines on threads of their own share one cache") {
  FakeModel model(fake_limits(64, 400), 64, 20);
  std::mutex mutex;
  std::vector<Result> results;
  {
    Engine one(model.runner), two(model.runner);
    one.start();
    two.start();
    for (uint64_t i = 0; i < 24; ++i) {
      Request r = request(tokens_of(100, static_cast<int32_t>(i % 2)), 20);
      r.on_finish = [&, i](Result result) {
        std::lock_guard lock(mutex);
        result.id = i % 2;
        results.push_back(std::move(result));
      };
      (i % 4 < 2 ? one : two).submit(std::move(r));
    }
    for (size_t n = 0; n < 24; std::this_thread::sleep_for(std::chrono::milliseconds(1))) {
      std::lock_guard lock(mutex);
      n = results.size();
    }
  }
  for (const Result& r : results)
    CHECK(r.tokens == solo(request(tokens_of(100, static_cast<int32_t>(r.id)), 20)).tokens);
  CHECK(model.pages_are_back());
}
