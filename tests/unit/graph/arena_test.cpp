// The arena plan: no two values that are alive together share a byte, and dead ones are reused.
#include <doctest/doctest.h>

#include <random>

#include "graph/passes.hpp"
#include "graph_builder.hpp"

using namespace tenon;
using tenon::test::GraphBuilder;

namespace {

struct Life {
  size_t born = 0, last = 0;
  uint64_t begin = 0, end = 0;
};

int64_t elements(const Shape& shape, int64_t tokens, int64_t rows) {
  int64_t n = 1;
  for (int64_t d : shape) n *= d == kDimTokens ? tokens : d == kDimRows ? rows : d;
  return n;
}

/// Lives of all placed values, views counted at what they view, worked out apart from the planner.
std::vector<Life> lives(const Graph& g, const ArenaPlan& plan, int64_t tokens, int64_t rows) {
  std::vector<Life> all(g.values.size());
  const auto root = [&](ValueId id) { return plan.alias[id - 1] ? plan.alias[id - 1] : id; };
  for (size_t n = 0; n < g.nodes.size(); ++n) {
    for (ValueId id : g.nodes[n].inputs)
      if (id) all[root(id) - 1].last = std::max(all[root(id) - 1].last, n);
    for (ValueId id : g.nodes[n].outputs) {
      if (plan.alias[id - 1]) continue;
      Life& life = all[id - 1];
      life.born = n;
      life.last = std::max(life.last, n);
      life.begin = plan.offset[id - 1];
      life.end = life.begin + 4 * static_cast<uint64_t>(elements(g.value(id).shape, tokens, rows));
      CHECK(life.begin % 64 == 0);
      CHECK(life.end <= plan.bytes);
    }
  }
  for (const auto& [name, id] : g.outputs) all[root(id) - 1].last = g.nodes.size();
  return all;
}

void check_apart(const std::vector<Life>& all) {
  int overlaps = 0;
  for (size_t a = 0; a < all.size(); ++a)
    for (size_t b = a + 1; b < all.size(); ++b) {
      if (all[a].end == 0 || all[b].end == 0) continue;
      const bool together = all[a].born <= all[b].last && all[b].born <= all[a].last;
      overlaps += together && all[a].begin < all[b].end && all[b].begin < all[a].end;
    }
  CHECK(overlaps == 0);
}

GraphBuilder random_graph(uint32_t seed) {
  std::mt19937 random(seed);
  GraphBuilder b;
  std::vector<ValueId> pool = {b.rows({16})};
  const auto pick = [&] { return pool[random() % pool.size()]; };
  for (int i = 0; i < 60; ++i) {
    const ValueId x = pick();
    const Shape shape = b.shape(x);
    switch (random() % 5) {
      case 0:
        pool.push_back(b.op("tenon.scale_shift/1", {x}));
        break;
      case 1: {
        const int64_t n = 16 * (1 + random() % 4);
        pool.push_back(b.op("tenon.linear/1", {x, b.weight(fmt::format("w{}", i), {n, shape.back()})}));
        break;
      }
      case 2: {
        Shape flat = {shape[0], 1};
        for (size_t d = 1; d < shape.size(); ++d) flat[1] *= shape[d];
        pool.push_back(b.op("tenon.reshape/1", {x}, {{"shape", Shape{flat[0], flat[1] / 8, 8}}}));
        break;
      }
      case 3:
        pool.push_back(b.op("tenon.take_rows/1", {x, b.input("rows")}));
        break;
      default:
        pool.push_back(b.op("tenon.mul/1", {x, x}));
    }
  }
  b.graph.outputs["hidden"] = pick();
  b.graph.outputs["other"] = pick();
  return b;
}

}  // namespace

TEST_CASE("values alive together never share bytes, on random graphs") {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    const GraphBuilder b = random_graph(seed);
    const int64_t tokens = 1 + seed % 7, rows = 1 + seed % 3;
    const ArenaPlan plan = plan_arena(b.graph, tokens, rows);
    check_apart(lives(b.graph, plan, tokens, rows));
  }
}

TEST_CASE("a chain needs two places however long it is") {
  GraphBuilder b;
  ValueId x = b.rows({16});
  for (int i = 0; i < 50; ++i) x = b.op("tenon.scale_shift/1", {x});
  b.graph.outputs["hidden"] = x;
  CHECK(plan_arena(b.graph, 4, 1).bytes == 2 * 4 * 16 * 4);
}

TEST_CASE("views share, inputs and weights have no place") {
  GraphBuilder b;
  const ValueId x = b.rows({16});
  const ValueId v = b.op("tenon.reshape/1", {x}, {{"shape", Shape{kDimTokens, 2, 8}}});
  const ValueId w = b.op("tenon.reshape/1", {v}, {{"shape", Shape{kDimTokens, 16}}});
  const ValueId y = b.op("tenon.scale_shift/1", {b.op("tenon.scale_shift/1", {w})});
  b.graph.outputs["hidden"] = w;
  b.graph.outputs["y"] = y;
  const ArenaPlan plan = plan_arena(b.graph, 3, 1);
  CHECK(plan.alias[w - 1] == x);
  CHECK(plan.offset[w - 1] == ArenaPlan::kNoPlace);
  CHECK(plan.offset[0] == ArenaPlan::kNoPlace);
  CHECK(plan.offset[x - 1] != plan.offset[y - 1]);
}
