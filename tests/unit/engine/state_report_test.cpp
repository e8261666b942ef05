// The report of what a sequence keeps, against what the reference backend takes and what a sequence holds.
#include "engine/state_report.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "backend/backend.hpp"
#include "engine/pages.hpp"

using namespace tenon;

namespace {

Graph mixed() {
  Graph g;
  g.states.push_back({.name = "k0", .layer = 0, .n_heads = 2, .dim_k = 8, .dim_v = 6});
  g.states.push_back({.name = "k1", .layer = 1, .n_heads = 2, .dim_k = 8, .dim_v = 6, .window = 40});
  g.states.push_back({.name = "k2", .layer = 2, .n_heads = 1, .dim_k = 8, .dim_v = 8, .window = 40});
  g.states.push_back({.name = "latent", .kind = StateKind::mla_latent, .layer = 3, .shape = {20}});
  g.states.push_back({.name = "conv", .kind = StateKind::conv, .layer = 3, .shape = {3, 10}});
  g.states.push_back({.name = "scan", .kind = StateKind::recurrent, .layer = 3, .shape = {10, 4}});
  return g;
}

}  // namespace

TEST_CASE("the report's bytes are what the reference backend takes") {
  const Graph graph = mixed();
  for (bool exact : {false, true}) {
    const auto lines = state_report(graph, 1, exact);
    REQUIRE(lines.size() == 5);
    const auto states = make_backend("reference", 1)->make_states(graph, {{1, 1}, 1}, exact);
    CHECK(lines[0].states == 1);
    CHECK(lines[0].bytes + lines[2].bytes == states->groups()[0].bytes_per_page);
    CHECK(lines[1].states == 2);
    CHECK(lines[1].bytes == states->groups()[1].bytes_per_page);
    CHECK(lines[3].bytes + lines[4].bytes == states->bytes_per_slot());
    CHECK(lines[0].bytes_per_token == 2 * 14 * (exact ? 4 : 2));
    CHECK(lines[3].pages == 0);
  }
}

TEST_CASE("the report's pages are those that a sequence holds") {
  const Graph graph = mixed();
  const auto states = make_backend("reference", 1)->make_states(graph, {{20, 20}, 1}, true);
  SeqPool pool(*states, 1, 32);
  auto seq = SeqCache::admit(pool, 500);
  REQUIRE(seq);
  for (int64_t n = 1; n <= 500; ++n) {
    seq->cover(n);
    seq->advance(1);
    const auto lines = state_report(graph, n, true);
    for (size_t g : {size_t{0}, size_t{1}})
      CHECK(lines[g].pages == std::ranges::count_if(seq->tables()[g], [](int32_t page) { return page >= 0; }));
  }
}
