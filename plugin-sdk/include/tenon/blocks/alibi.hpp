// Attention with linear biases in place of rotations (Press et al. 2022), as transformers' build_alibi_tensor has them.
#pragma once

#include <tenon/graph.hpp>

namespace tenon {
inline namespace v0 {

/// One slope a head: powers of 2^(-8/n) for the largest power of two n that fits, then every other power of 2^(-4/n).
inline std::vector<double> alibi_slopes(int64_t n_heads) {
  int64_t n = 1;
  while (2 * n <= n_heads) n *= 2;
  const auto power = [](int64_t count, int64_t i) {
    const auto base = static_cast<float>(std::exp2(-8.0 / static_cast<double>(count)));
    return std::pow(base, static_cast<float>(i));
  };
  std::vector<double> slopes;
  for (int64_t i = 1; i <= n; ++i) slopes.push_back(power(n, i));
  for (int64_t i = 1; std::ssize(slopes) < n_heads; i += 2) slopes.push_back(power(2 * n, i));
  return slopes;
}

/// softmax(scale (q k^T + slope[head] * key position) + causal mask) v; shapes as in Graph::attention.
inline Tensor alibi_attention(tn_st state, Tensor q, Tensor k, Tensor v, double scale, Here at = Here::current()) {
  Graph& g = *q.graph;
  g.locate(at);
  return g.op("tenon.attention/1", {q.id, k.id, v.id, 0}, {{"scale", scale}, {"alibi", alibi_slopes(q.dim(1))}},
              {state});
}

}  // namespace v0
}  // namespace tenon
