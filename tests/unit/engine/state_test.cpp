// State through the engine on real backends: snapshots of recurrent state, and windows whose pages go back.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "base/error.hpp"
#include "engine/engine.hpp"
#include "engine/session.hpp"
#include "graph/graph_builder.hpp"

using namespace tenon;

namespace {

constexpr int64_t kWords = 50, kWidth = 24, kWindow = 40;

/// A small decoder of one embedding, what `layers` makes of it, and a head; weights at random.
struct TinyModel {
  test::GraphBuilder g;

  template <typename Layers>
  explicit TinyModel(Layers layers) {
    const ValueId x = g.op("tenon.embed/1", {g.input("tokens"), g.weight("table", {kWords, kWidth})});
    const ValueId rows = g.op("tenon.take_rows/1", {layers(g, x), g.input("rows")});
    g.graph.outputs["logits"] = g.op("tenon.linear/1", {rows, g.weight("head", {kWords, kWidth})});
  }

  std::vector<HostTensor> weights() const {
    std::mt19937 rng(5);
    std::normal_distribution<float> normal;
    std::vector<HostTensor> all;
    for (const GraphWeight& w : g.graph.weights) {
      all.push_back(HostTensor::allocate(DType::f32, w.shape, w.name));
      auto* values = reinterpret_cast<float*>(all.back().mutable_data());
      for (int64_t i = 0; i < all.back().elements(); ++i)
        values[i] = w.name == "A" ? -std::abs(normal(rng)) : normal(rng) * 0.5f;
    }
    return all;
  }
};

TinyModel recurrent_model() {
  return TinyModel([](test::GraphBuilder& g, ValueId x) {
    const ValueId w = g.weight("w", {kWidth, 4});
    const ValueId u = g.op("tenon.causal_conv1d/1", {x, w}, {{"act", std::string("silu")}},
                           {g.slot_state(StateKind::conv, {3, kWidth})});
    const ValueId dt = g.op("tenon.unary/1", {u}, {{"act", std::string("softplus")}});
    const ValueId b = g.op("tenon.linear/1", {u, g.weight("B", {8, kWidth})});
    const ValueId c = g.op("tenon.linear/1", {u, g.weight("C", {8, kWidth})});
    return g.op("tenon.ssm_scan/1", {u, dt, g.weight("A", {kWidth, 8}), b, c}, {},
                {g.slot_state(StateKind::recurrent, {kWidth, 8})});
  });
}

/// One layer that sees everything and one that sees the last kWindow; with `recurrent` a convolution behind them.
TinyModel window_model(bool recurrent = false) {
  return TinyModel([=](test::GraphBuilder& g, ValueId x) {
    for (int64_t window : {int64_t{0}, kWindow, kWindow}) {
      const ValueId h = g.op("tenon.reshape/1", {x}, {{"shape", Shape{kDimTokens, 3, 8}}});
      const ValueId y = g.op("tenon.attention/1", {h, h, h}, {{"scale", 0.3}}, {g.kv(3, 8, 8, window)});
      x = g.op("tenon.add/1", {x, g.op("tenon.reshape/1", {y}, {{"shape", Shape{kDimTokens, kWidth}}})});
    }
    if (!recurrent) return x;
    return g.op("tenon.causal_conv1d/1", {x, g.weight("w", {kWidth, 4})}, {{"act", std::string("silu")}},
                {g.slot_state(StateKind::conv, {3, kWidth})});
  });
}

struct Ready {
  Ready(const char* backend_name, const TinyModel& model, StateSizes sizes, RunnerLimits limits)
      : backend(make_backend(backend_name, 2)),
        executable(backend->compile(model.g.graph, model.weights(),
                                    {.exact = true,
                                     .max_tokens = limits.max_tokens,
                                     .max_rows = limits.max_rows,
                                     .max_seqs = limits.max_seqs,
                                     .force = {}})),
        states(backend->make_states(model.g.graph, sizes, true)),
        runner(*executable, *states, limits) {}
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Executable> executable;
  std::unique_ptr<StatePool> states;
  Runner runner;
};

RunnerLimits limits(int64_t max_tokens, int64_t n_ctx = 1000) {
  return {.max_tokens = max_tokens, .max_rows = max_tokens, .max_seqs = 4, .n_ctx = n_ctx, .n_vocab = kWords};
}

std::vector<int32_t> text(int64_t n, int seed = 0) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < n; ++i) tokens.push_back(static_cast<int32_t>((i * i + 7 * i + seed * 11) % kWords));
  return tokens;
}

double difference(std::span<const float> a, std::span<const float> b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(static_cast<double>(a[i] - b[i])));
  return worst;
}

constexpr const char* kBackends[] = {"cpu", "reference"};

}  // namespace

TEST_CASE("snapshot, on, back and on again equals the run without") {
  for (const char* backend : kBackends)
    for (bool with_pages : {false, true}) {
      const TinyModel model = with_pages ? window_model(true) : recurrent_model();
      Ready r(backend, model, {with_pages ? std::vector<int32_t>{40, 40} : std::vector<int32_t>{}, 6}, limits(30));
      const auto tokens = text(60), others = text(9, 3);
      std::vector<float> whole, out, astray;
      Session(r.runner, {.planned_len = 60}).append(tokens, Rows::all, whole);

      Session session(r.runner, {.planned_len = 60, .copies = 2});
      session.append(std::span(tokens).first(25), Rows::all, out);
      const auto at25 = session.snapshot();
      CHECK(r.runner.pages().snapshot_slots().used() == 2);
      for (int round = 0; round < 2; ++round) {
        session.append(others, Rows::all, astray);
        session.restore(at25);
        CHECK(session.length() == 25);
      }
      CHECK_THROWS_AS(session.snapshot(), Error);  // both slots for snapshots are taken
      session.append(std::span(tokens).subspan(25), Rows::all, out);
      CHECK(difference(out, whole) < 1e-5);
    }
}

TEST_CASE("an encoder takes texts whole, beside each other, and continues none") {
  const TinyModel model([](test::GraphBuilder& g, ValueId x) {
    const ValueId h = g.op("tenon.reshape/1", {x}, {{"shape", Shape{kDimTokens, 3, 8}}});
    const ValueId y = g.op("tenon.encoder_attention/1", {h, h, h}, {{"scale", 0.3}});
    return g.op("tenon.reshape/1", {y}, {{"shape", Shape{kDimTokens, kWidth}}});
  });
  for (const char* backend : kBackends) {
    RunnerLimits whole = limits(64);
    whole.whole = true;
    Ready r(backend, model, {{}, 0}, whole);
    CHECK(r.runner.limits().n_ctx == 64);
    const auto tokens = text(20);
    std::vector<float> alone, beside, more;
    Session(r.runner, {.planned_len = 20}).append(tokens, Rows::all, alone);
    CHECK(std::ssize(alone) == 20 * kWords);
    Session(r.runner, {.planned_len = 20, .copies = 1, .filler = true}).append(tokens, Rows::all, beside);
    CHECK(difference(alone, beside) < 1e-5);
    Session(r.runner, {.planned_len = 64}).append(text(64), Rows::all, more);

    Session pieces(r.runner, {.planned_len = 20});
    pieces.append(std::span(tokens).first(10), Rows::all, more);
    CHECK_THROWS_AS(pieces.append(std::span(tokens).subspan(10), Rows::all, more), Error);
    Engine engine(r.runner);
    CHECK_THROWS_AS(engine.submit({.prompt = tokens}), Error);
  }
}

TEST_CASE("a snapshot starts another sequence where no pages are kept") {
  for (const char* backend : kBackends) {
    Ready r(backend, recurrent_model(), {{}, 6}, limits(30, int64_t{1} << 30));
    CHECK(r.runner.limits().n_ctx == int64_t{1} << 30);
    const auto tokens = text(40);
    std::vector<float> whole;
    Session(r.runner, {.planned_len = 40}).append(tokens, Rows::all, whole);

    auto first = r.runner.admit(40), second = r.runner.admit(40), small = r.runner.admit(20);
    const auto feed = [&](SeqCache& seq, std::span<const int32_t> piece) {
      Step step(r.runner);
      step.add(seq, piece, Rows::all);
      step.run();
      std::vector<float> out;
      for (size_t i = 0; i < piece.size(); ++i) {
        const auto row = step.logits(static_cast<int64_t>(i));
        out.insert(out.end(), row.begin(), row.end());
      }
      return out;
    };
    feed(*first, std::span(tokens).first(30));
    const auto snapshot = r.runner.snapshot(*first);
    REQUIRE(snapshot);
    first.reset();
    r.runner.restore(*second, *snapshot);
    CHECK(second->length() == 30);
    CHECK(difference(feed(*second, std::span(tokens).subspan(30)), std::span(whole).subspan(30 * kWords)) < 1e-5);
    CHECK_THROWS_AS(r.runner.restore(*small, *snapshot), Error);
  }
}

TEST_CASE("a layer with a window keeps its window's pages only, and the numbers stay") {
  for (const char* backend : kBackends) {
    const TinyModel model = window_model();
    const auto tokens = text(400), beside = text(400, 1);
    std::vector<float> whole;
    {
      Ready r(backend, model, {{20, 20}, 0}, limits(400));
      Session(r.runner, {.planned_len = 400}).append(tokens, Rows::all, whole);
    }
    constexpr int64_t kChunk = 16;
    const auto need = static_cast<int32_t>(window_pages(kWindow, kChunk));
    CHECK(need == 3);
    // No page to spare: two sequences of 400 tokens, whose windows pass pages to each other.
    Ready r(backend, model, {{26, 2 * need}, 0}, limits(kChunk));
    CHECK(r.runner.limits().n_ctx == 26 * kPageTokens);
    auto a = r.runner.admit(400), b = r.runner.admit(400);
    REQUIRE((a && b));
    CHECK_FALSE(r.runner.admit(400));
    std::vector<float> out;
    for (int64_t i = 0; i < 400; i += 8) {
      const auto at = static_cast<size_t>(i);
      Step step(r.runner);
      const int64_t row = step.add(*a, std::span(tokens).subspan(at, 8), Rows::all);
      step.add(*b, std::span(beside).subspan(at, 8), Rows::none);
      step.run();
      for (int64_t k = 0; k < 8; ++k) {
        const auto logits = step.logits(row + k);
        out.insert(out.end(), logits.begin(), logits.end());
      }
      CHECK(r.runner.pages().pages(1).used() <= 2 * need);
    }
    CHECK(difference(out, whole) < 1e-5);
    const PageTable& table = a->tables()[1];
    CHECK(std::ranges::count(table, -1) == (400 - kWindow + 1) / kPageTokens);
    a.reset(), b.reset();
    CHECK(r.runner.pages().used() + r.runner.pages().reserved() == 0);
  }
}
