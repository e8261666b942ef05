// Queries that grow with their position, so that attention stays sharp over long contexts (Nakanishi 2025).
#pragma once

#include <tenon/graph.hpp>

namespace tenon {
inline namespace v0 {

/// x * (1 + beta * ln(1 + floor((position + offset) / length))); x [T, ...].
struct PositionScale {
  double beta;
  int64_t length, offset = 0;
};
inline Tensor position_scale(Tensor x, const PositionScale& s, Here at = Here::current()) {
  Graph& g = *x.graph;
  g.locate(at);
  return g.op("tenon.position_scale/1", {x.id, g.input_tensor("positions").id},
              {{"beta", s.beta}, {"length", s.length}, {"offset", s.offset}});
}

}  // namespace v0
}  // namespace tenon
