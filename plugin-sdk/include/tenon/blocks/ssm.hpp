// Scans of state space models: a decay per channel and state element (Gu and Dao 2023), or one per head (Dao and Gu
// 2024), where the state is a matrix per head.
#pragma once

#include <tenon/graph.hpp>

namespace tenon {
inline namespace v0 {

struct Scan {
  Tensor x, dt, b, c;
};

/// h = exp(dt A) h + dt B x, y = C h + D x, token by token; h [E, N] is kept per sequence.
/// x and dt [T, E], A [E, N], B and C [T, N], D [E]: [T, E].
inline Tensor ssm_scan(int64_t layer, const Scan& s, const Weight& a, const Weight& d, Here at = Here::current()) {
  Graph& g = *s.x.graph;
  const int64_t e = s.x.dim(1), n = s.b.dim(1);
  const Tensor decay = g.operand(a, "", {e, n}, false, at), skip = g.operand(d, "", {e}, false, at);
  const tn_st state = g.state(TN_STATE_RECURRENT, "ssm." + std::to_string(layer), layer, {e, n});
  return g.op("tenon.ssm_scan/1", {s.x.id, s.dt.id, decay.id, s.b.id, s.c.id, skip.id}, {}, {state});
}

/// S = exp(dt A) S + dt B x^T, y = C S + D x, token by token and head by head; S [H, N, P] is kept per sequence.
/// x [T, H, P], dt [T, H], A and D [H], B and C [T, G, N] with G groups of heads: [T, H, P].
inline Tensor ssd_scan(int64_t layer, const Scan& s, const Weight& a, const Weight& d, Here at = Here::current()) {
  Graph& g = *s.x.graph;
  const int64_t h = s.x.dim(1);
  const Tensor decay = g.operand(a, "", {h}, false, at), skip = g.operand(d, "", {h}, false, at);
  const tn_st state = g.state(TN_STATE_RECURRENT, "ssd." + std::to_string(layer), layer, {h, s.b.dim(2), s.x.dim(2)});
  return g.op("tenon.ssd_scan/1", {s.x.id, s.dt.id, decay.id, s.b.id, s.c.id, skip.id}, {}, {state});
}

}  // namespace v0
}  // namespace tenon
