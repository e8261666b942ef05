// Norms whose statistics are those of equal runs of the last axis, each run by itself.
#pragma once

#include <tenon/graph.hpp>

namespace tenon {
inline namespace v0 {

/// x * rsqrt(mean(x^2) + eps) * w, the mean over each of `groups` runs of the last axis; w over all of it.
inline Tensor group_rms_norm(Tensor x, int64_t groups, const Weight& w, double eps, Here at = Here::current()) {
  Graph& g = *x.graph;
  const Tensor scale = g.operand(w, ".weight", {x.dim(x.rank() - 1)}, false, at);
  return g.op("tenon.rms_norm/1", {x.id, scale.id}, {{"eps", eps}, {"groups", groups}});
}

/// (x - mean) * rsqrt(var + eps) * w + b with statistics over each of `groups` runs (Wu and He 2018).
inline Tensor group_norm(Tensor x, int64_t groups, const Weight& w, double eps, Here at = Here::current()) {
  Graph& g = *x.graph;
  const int64_t n = x.dim(x.rank() - 1);
  const Tensor scale = g.operand(w, ".weight", {n}, false, at), shift = g.operand(w, ".bias", {n}, false, at);
  return g.op("tenon.layer_norm/1", {x.id, scale.id, shift.id}, {{"eps", eps}, {"groups", groups}});
}

}  // namespace v0
}  // namespace tenon
