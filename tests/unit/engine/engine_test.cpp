// Continuous batching over a fake model: every request equals its solo run, limits hold, pages come back.
#include "engine/engine.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <stdexcept>

#include "base/error.hpp"
#include "fake_model.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {

Request random_request(std::mt19937& rng, int64_t longest_prompt = 120, int64_t most_new = 40) {
  const auto pick = [&](int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(rng); };
  Request r;
  for (int64_t i = pick(1, longest_prompt); i > 0; --i) r.prompt.push_back(static_cast<int32_t>(pick(0, kPoison - 1)));
  r.max_new_tokens = pick(1, most_new);
  if (pick(0, 1)) r.sampling = {.temperature = 0.9f, .top_k = 20, .top_p = 0.9f, .min_p = 0.02f, .seed = rng()};
  if (pick(0, 3) == 0) r.sampling.repetition_penalty = 1.4f;
  if (pick(0, 3) == 0) r.sampling.frequency_penalty = 0.6f;
  if (pick(0, 3) == 0) r.sampling.presence_penalty = -0.7f;
  if (pick(0, 3) == 0) r.sampling.logit_bias = {{5, -100.0f}, {9, 1.5f}};
  if (pick(0, 3) == 0) r.logprobs = 3;
  if (pick(0, 1)) r.stop_ids = {3, 17};
  return r;
}

Result solo(const Request& request) {
  FakeModel model(fake_limits(200));
  Engine engine(model.runner);
  return engine.run(request);
}

Request prompt_of(size_t n, int64_t max_new) {
  Request r;
  for (size_t i = 0; i < n; ++i) r.prompt.push_back(static_cast<int32_t>(i % 50));
  r.max_new_tokens = max_new;
  return r;
}

}  // namespace

TEST_CASE("random submits and cancels: every sequence equals its solo run") {
  for (uint32_t seed : {1u, 2u, 3u}) {
    std::mt19937 rng(seed);
    FakeModel model(fake_limits(48, 200, 7), 30);
    Engine engine(model.runner);
    std::map<RequestId, Result> results;
    std::map<RequestId, Request> requests;
    std::map<RequestId, bool> cancelled;
    while (requests.size() < 32 || engine.step()) {
      if (requests.size() < 32 && rng() % 3 != 0) {
        Request r = random_request(rng);
        Request copy = r;
        r.on_finish = [&](Result result) { results[result.id] = std::move(result); };
        requests[engine.submit(std::move(r))] = std::move(copy);
      }
      if (rng() % 12 == 0 && !requests.empty()) {
        const RequestId id = 1 + rng() % requests.size();
        engine.cancel(id);
        cancelled[id] = true;
      }
      if (requests.size() < 32) engine.step();
    }
    REQUIRE(results.size() == 32);
    for (const auto& [id, result] : results) {
      const Result alone = solo(requests[id]);
      if (result.reason == FinishReason::cancelled) {
        CHECK(cancelled[id]);
        REQUIRE(result.tokens.size() <= alone.tokens.size());
        CHECK(std::equal(result.tokens.begin(), result.tokens.end(), alone.tokens.begin()));
      } else {
        CHECK(result.reason == alone.reason);
        CHECK(result.tokens == alone.tokens);
      }
    }
    CHECK(model.pages_are_back());
  }
}

TEST_CASE("pages: no leak after 2000 requests, waiting instead of overcommitting") {
  std::mt19937 rng(5);
  FakeModel model(fake_limits(64, 200, 8), 12);  // 12 pages: two or three requests at a time
  Engine engine(model.runner);
  int64_t finished = 0, submitted = 0;
  for (; submitted < 2000; ++submitted) {
    Request r = random_request(rng, 60, 12);
    r.on_finish = [&](Result result) { finished += result.reason != FinishReason::error; };
    const RequestId id = engine.submit(std::move(r));
    if (rng() % 10 == 0) engine.cancel(id - rng() % 3);
    if (rng() % 2 == 0) engine.step();
    CHECK(model.pages().used() + model.pages().reserved() <= model.pages().total());
  }
  engine.run_until_idle();
  CHECK(finished == submitted);
  CHECK(model.pages_are_back());
  CHECK(engine.stats().running == 0);
  CHECK(engine.stats().waiting == 0);
}

TEST_CASE("stop ids end a sequence and are not among its tokens") {
  FakeModel model;
  Engine engine(model.runner);
  Request r = prompt_of(5, 30);
  const auto all = engine.run(r).tokens;
  REQUIRE(all.size() == 30);
  const int32_t stop = all[7];
  const auto first = std::find(all.begin(), all.end(), stop) - all.begin();

  r.stop_ids = {stop};
  const Result stopped = engine.run(r);
  CHECK(stopped.reason == FinishReason::stop);
  CHECK(stopped.tokens == std::vector<int32_t>(all.begin(), all.begin() + first));

  r.ignore_eos = true;
  const Result ignored = engine.run(r);
  CHECK(ignored.reason == FinishReason::length);
  CHECK(ignored.tokens == all);
}

TEST_CASE("penalties look at prompt and answer") {
  FakeModel model;
  Engine engine(model.runner);
  Request r = prompt_of(20, 35);
  r.sampling.repetition_penalty = 1e4f;
  const auto fresh = engine.run(r).tokens;
  CHECK(std::set<int32_t>(fresh.begin(), fresh.end()).size() == fresh.size());
  for (int32_t id : fresh) CHECK(id >= 20);

  r.sampling = {.temperature = 1, .seed = 3, .logit_bias = {}};
  for (int32_t id = 0; id < kVocab; ++id)
    if (id != 33) r.sampling.logit_bias[id] = -100;
  CHECK(engine.run(r).tokens == std::vector<int32_t>(35, 33));
}

TEST_CASE("logprobs come with their tokens and change none") {
  FakeModel model;
  Engine engine(model.runner);
  Request r = prompt_of(9, 12);
  r.sampling = {.temperature = 1.2f, .seed = 8, .presence_penalty = 1};
  const auto plain = engine.run(r);
  CHECK(plain.logprobs.empty());
  r.logprobs = 5;
  std::vector<float> heard;
  r.on_token = [&](const NewToken& token) {
    REQUIRE(token.logprobs);
    heard.push_back(token.logprobs->logprob);
    return true;
  };
  const auto got = engine.run(r);
  CHECK(got.tokens == plain.tokens);
  REQUIRE(got.logprobs.size() == got.tokens.size());
  for (size_t i = 0; i < heard.size(); ++i) {
    CHECK(got.logprobs[i].logprob == heard[i]);
    REQUIRE(got.logprobs[i].top.size() == 5);
    CHECK(got.logprobs[i].top[0].second >= heard[i]);
    for (auto [id, logprob] : got.logprobs[i].top)
      if (id == got.tokens[i]) CHECK(logprob == heard[i]);
  }
}

TEST_CASE("the context is never overrun") {
  FakeModel model(fake_limits(48, 64));
  Engine engine(model.runner);
  SUBCASE("a prompt that leaves no room is refused with both numbers") {
    CHECK_THROWS_WITH_AS(engine.submit(prompt_of(64, 1)),
                         "[request] a prompt of 64 tokens leaves no room in the context of 64", Error);
    CHECK_NOTHROW(engine.submit(prompt_of(63, 1)));
  }
  SUBCASE("an answer ends with the context") {
    const Result r = engine.run(prompt_of(60, 100));
    CHECK(r.reason == FinishReason::context);
    CHECK(finish_reason_text(r.reason) == "length");
    CHECK(r.tokens.size() == 4);
  }
  SUBCASE("no limit means up to the context") {
    const Result r = engine.run(prompt_of(10, -1));
    CHECK(r.reason == FinishReason::context);
    CHECK(r.tokens.size() == 54);
  }
  SUBCASE("exactly to the end is an ordinary length") {
    CHECK(engine.run(prompt_of(60, 4)).reason == FinishReason::length);
  }
  SUBCASE("few pages lower the context") {
    FakeModel small(fake_limits(48, 1000), 2);
    CHECK(small.runner.limits().n_ctx == 2 * kPageTokens);
  }
}

TEST_CASE("bad requests are refused at submission") {
  FakeModel model;
  Engine engine(model.runner);
  CHECK_THROWS_AS(engine.submit({}), Error);
  Request outside = prompt_of(3, 1);
  outside.prompt[1] = kVocab;
  CHECK_THROWS_WITH_AS(engine.submit(outside), "[request] token id 61 is outside the vocabulary of 61", Error);
  outside.prompt[1] = -1;
  CHECK_THROWS_AS(engine.submit(outside), Error);
  Request hot = prompt_of(3, 1);
  hot.sampling.temperature = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_AS(engine.submit(hot), Error);
  Request biased = prompt_of(3, 1);
  biased.sampling.logit_bias = {{kVocab, 1.0f}};
  CHECK_THROWS_WITH_AS(engine.submit(biased), "[sampling] logit_bias names the id 61 outside the vocabulary of 61",
                       Error);
  Request curious = prompt_of(3, 1);
  curious.logprobs = 21;
  CHECK_THROWS_WITH_AS(engine.submit(curious), "[request] logprobs 21 is outside 0 ... 20", Error);
  CHECK_FALSE(engine.step());
}

TEST_CASE("no tokens wanted: finished without a step") {
  FakeModel model;
  Engine engine(model.runner);
  const Result r = engine.run(prompt_of(3, 0));
  CHECK(r.reason == FinishReason::length);
  CHECK(r.tokens.empty());
  CHECK(model.executable.steps == 0);
}

TEST_CASE("a cancel takes effect within one step, wherever the request is") {
  FakeModel model(fake_limits(8, 200, 1));
  Engine engine(model.runner);
  std::map<RequestId, Result> results;
  const auto submit = [&](size_t n_prompt) {
    Request r = prompt_of(n_prompt, 50);
    r.on_finish = [&](Result result) { results[result.id] = std::move(result); };
    return engine.submit(std::move(r));
  };
  const RequestId decoding = submit(3);
  const RequestId waiting = submit(3);
  for (int i = 0; i < 4; ++i) engine.step();
  engine.cancel(waiting);
  engine.step();
  CHECK(results.count(waiting) == 1);
  CHECK(results.count(decoding) == 0);
  engine.cancel(decoding);
  engine.step();
  CHECK(results.at(decoding).reason == FinishReason::cancelled);
  CHECK(results.at(decoding).tokens.size() == 5);

  const RequestId prefilling = submit(40);
  engine.step();
  engine.cancel(prefilling);
  CHECK_FALSE(engine.step());
  CHECK(results.at(prefilling).tokens.empty());
  CHECK(model.pages_are_back());
}

TEST_CASE("a listener may cancel, submit and throw") {
  FakeModel model;
  Engine engine(model.runner);
  Request r = prompt_of(4, 50);
  int heard = 0;
  r.on_token = [&](const NewToken&) { return ++heard < 3; };
  const Result stopped = engine.run(r);
  CHECK(stopped.reason == FinishReason::cancelled);
  CHECK(stopped.tokens.size() == 3);

  r.on_token = [](const NewToken&) -> bool { throw std::runtime_error("listener"); };
  const Result failed = engine.run(r);
  CHECK(failed.reason == FinishReason::error);
  CHECK(failed.error == "listener");

  int followers = 0;
  Request chain = prompt_of(4, 2);
  chain.on_finish = [&](Result) {
    Request next = prompt_of(6, 2);
    next.on_finish = [&](Result) { ++followers; };
    engine.submit(std::move(next));
  };
  engine.submit(std::move(chain));
  engine.run_until_idle();
  CHECK(followers == 1);
  CHECK(model.pages_are_back());
}

TEST_CASE("logits that are not finite end that request and nothing else") {
  FakeModel model;
  Engine engine(model.runner);
  std::map<RequestId, Result> results;
  const auto submit = [&](Request r) {
    r.on_finish = [&](Result result) { results[result.id] = std::move(result); };
    return engine.submit(std::move(r));
  };
  Request bad = prompt_of(6, 5);
  bad.prompt[2] = kPoison;
  const RequestId good_id = submit(prompt_of(9, 5));
  const RequestId bad_id = submit(bad);
  engine.run_until_idle();
  CHECK(results.at(bad_id).reason == FinishReason::error);
  CHECK(results.at(good_id).tokens == solo(prompt_of(9, 5)).tokens);
}

TEST_CASE("a step that fails ends its batch; later requests run") {
  FakeModel model;
  Engine engine(model.runner);
  model.executable.throw_at_step = 2;
  const Result lost = engine.run(prompt_of(4, 10));
  CHECK(lost.reason == FinishReason::error);
  CHECK(lost.error == "the device is gone");
  CHECK(engine.run(prompt_of(4, 10)).tokens == solo(prompt_of(4, 10)).tokens);
  CHECK(model.pages_are_back());
}

TEST_CASE("decodes go first and prompts share what is left") {
  FakeModel model(fake_limits(20, 200, 4));
  Engine engine(model.runner);
  engine.submit(prompt_of(5, 50));
  engine.step();
  CHECK(model.executable.last_pieces == std::vector<int32_t>{5});
  engine.submit(prompt_of(100, 5));
  engine.submit(prompt_of(3, 5));
  engine.submit(prompt_of(100, 5));
  engine.step();
  auto pieces = model.executable.last_pieces;
  REQUIRE(pieces.size() == 4);
  CHECK(pieces[0] == 1);
  std::sort(pieces.begin() + 1, pieces.end());
  CHECK(pieces[1] == 3);
  CHECK(pieces[2] >= 6);
  CHECK(pieces[1] + pieces[2] + pieces[3] == 19);
  engine.run_until_idle();
  CHECK(engine.stats().prompt_tokens == 208);
}

TEST_CASE("a thread of its own, fed by others") {
  FakeModel model(fake_limits(), 64, 32);
  Engine engine(model.runner);
  engine.start();
  std::mutex mutex;
  std::map<RequestId, Result> results;
  std::map<RequestId, Request> requests;
  std::condition_variable done;
  std::vector<std::thread> clients;
  for (uint32_t t = 0; t < 4; ++t)
    clients.emplace_back([&, t] {
      std::mt19937 rng(t);
      for (int i = 0; i < 8; ++i) {
        Request r = random_request(rng, 30, 10);
        Request copy = r;
        r.on_finish = [&](Result result) {
          std::lock_guard lock(mutex);
          results[result.id] = std::move(result);
          done.notify_one();
        };
        const RequestId id = engine.submit(std::move(r));
        std::lock_guard lock(mutex);
        requests[id] = std::move(copy);
      }
    });
  for (auto& c : clients) c.join();
  {
    std::unique_lock lock(mutex);
    done.wait(lock, [&] { return results.size() == 32; });
  }
  engine.stop();
  for (const auto& [id, result] : results) CHECK(result.tokens == solo(requests[id]).tokens);
  CHECK(model.pages_are_back());
}

TEST_CASE("what still runs when the engine goes is cancelled") {
  FakeModel model;
  int cancelled = 0;
  {
    Engine engine(model.runner);
    for (int i = 0; i < 12; ++i) {
      Request r = prompt_of(20, 50);
      r.on_finish = [&](Result result) { cancelled += result.reason == FinishReason::cancelled; };
      engine.submit(std::move(r));
    }
    engine.step();
  }
  CHECK(cancelled == 12);
  CHECK(model.pages_are_back());
}
