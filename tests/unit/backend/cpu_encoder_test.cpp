// Attention in both directions and pooling on the CPU backend, against the reference: head sizes, groups, radii,
// softcap, ragged batches of whole sequences.
#include "backend/cpu_harness.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {

struct Case {
  int64_t heads = 4, kv_heads = 2, dk = 16, dv = 16, radius = -1;
  double softcap = 0;
};

TestGraph encoder_graph(const Case& c) {
  TestGraph g;
  const ValueId q = g.data("q", {c.heads, c.dk}), k = g.data("k", {c.kv_heads, c.dk}),
                v = g.data("v", {c.kv_heads, c.dv});
  const ValueId y =
      g.op("tenon.encoder_attention/1", {q, k, v},
           {{"scale", 1 / std::sqrt(static_cast<double>(c.dk))}, {"softcap", c.softcap}, {"radius", c.radius}});
  g.output(g.op("tenon.reshape/1", {y}, {{"shape", Shape{kDimTokens, c.heads * c.dv}}}));
  return g;
}

/// Each sequence once: a step holds all of it.
const std::vector<Step> kWhole = {
    {{0, 5}, {1, 1}, {2, 33}}, {{3, 64}, {4, 32}}, {{5, 1}}, {{6, 96}}, {{7, 31}, {8, 40}}};
const Bounds kExact = {2e-5, 2e-5};  // nothing is kept, so nothing is rounded

}  // namespace

TEST_CASE("encoder attention over shapes") {
  for (auto [heads, kv] : {std::pair<int64_t, int64_t>{1, 1}, {6, 3}, {8, 1}, {40, 1}})
    for (auto [dk, dv] : {std::pair<int64_t, int64_t>{16, 16}, {64, 64}, {10, 6}, {3, 5}, {24, 40}}) {
      CAPTURE(heads);
      CAPTURE(kv);
      CAPTURE(dk);
      CAPTURE(dv);
      check_graph(encoder_graph({heads, kv, dk, dv}), kExact, kWhole);
    }
}

TEST_CASE("encoder attention with radius and softcap, on every instruction set") {
  auto cpu = make_cpu_backend(1);
  for (const std::string& isa : vector_names(*cpu))
    for (int64_t radius : {-1, 0, 1, 4, 31, 32, 95, 1000})
      for (double softcap : {0.0, 1.5}) {
        CAPTURE(isa);
        CAPTURE(radius);
        CAPTURE(softcap);
        check_graph(encoder_graph({4, 2, 20, 20, radius, softcap}), kExact, kWhole, "encoder_attention=" + isa);
      }
}

TEST_CASE("pooling of each sequence") {
  for (const char* mode : {"mean", "first", "last"})
    for (int64_t width : {1, 64, 100, 200}) {
      CAPTURE(mode);
      CAPTURE(width);
      TestGraph g;
      g.output(g.op("tenon.pool/1", {g.data("x", {width}), g.row_ids}, {{"mode", std::string(mode)}}));
      check_graph(g, kExact, kWhole);
    }
}
