// The expanded way: see mla_expanded.hpp.
#include "backend/cpu/ops/mla_expanded.hpp"

#include <algorithm>

namespace tenon::cpu {

namespace {
constexpr int64_t kTileKeys = 4 * kPageTokens;  // keys that are expanded together
}

MlaExpanded::MlaExpanded(CompileCtx& ctx, const MlaParts& parts, const HeadProduct& k_b, const HeadProduct& v_b,
                         int64_t max_rows)
    : p_(parts),
      k_b_(k_b),
      v_b_(v_b),
      max_rows_(max_rows),
      choice_(
          ctx.linear("tenon.linear_per_head/1", DType::f32, p_.spec.nope + p_.spec.value, p_.spec.latent, kTileKeys)),
      bound_(pack_bound(choice_, DType::f32, p_.spec.nope + p_.spec.value, p_.spec.latent, 1, kTileKeys, p_.exact)) {}

MlaExpanded::Buffers MlaExpanded::carve(Carver& c) const {
  const int64_t both = p_.spec.nope + p_.spec.value, dk = p_.spec.nope + p_.spec.rotary;
  Buffers b;
  b.soft = carve_softmax(c, max_rows_, dk, p_.value_pad);
  b.w = c.floats(both * p_.spec.latent);
  b.rows = c.floats(kTileKeys * p_.row_pad);
  b.kv = c.floats(kTileKeys * both);
  b.key = c.floats(dk * kPageTokens);
  b.value = c.floats(p_.value_pad * kPageTokens);
  b.pack = c.bytes(bound_.bytes);
  b.scratch = c.bytes(std::max({bound_.scratch, k_b_.scratch_bytes(), v_b_.scratch_bytes()}));
  return b;
}

uint64_t MlaExpanded::scratch_bytes() const {
  Carver c(nullptr);
  carve(c);
  return c.used();
}

AttnTile MlaExpanded::load_queries(const StepCtx& ctx, const ExpandedTask& task, const Buffers& b) const {
  const int64_t N = p_.spec.nope, R = p_.spec.rotary, dk = N + R;
  const SeqRows& seq = ctx.batch->seqs[static_cast<size_t>(task.seq)];
  for (int64_t r = 0; r < task.n_rows; ++r) {
    const int64_t row = task.row0 + r, at = row * p_.spec.heads + task.head;
    p_.kernels.scale_shift(p_.nope.f32() + at * N, p_.spec.scale, 0, b.soft.q + r * dk, N);
    p_.turn(p_.rope_q, row, p_.pe.f32() + at * R, p_.spec.scale, b.soft.q + r * dk + N);
    b.soft.lo[r] = 0;
    b.soft.hi[r] = static_cast<int32_t>(seq.pos + (row - seq.first_row));
  }
  const Softmax& s = b.soft;
  return {task.n_rows, dk, p_.value_pad, 0, false, s.q, s.lo, s.hi, s.max, s.sum, s.acc, s.s, nullptr, nullptr};
}

void MlaExpanded::expand_head(int64_t head, const Buffers& b) const {
  if (p_.spec.k_b_transposed)
    k_b_.expand_transposed(head, b.w, b.scratch);
  else
    k_b_.expand(head, b.w, b.scratch);
  v_b_.expand(head, b.w + p_.spec.nope * p_.spec.latent, b.scratch);
}

/// Keys and values of one head, [n_keys][N + V], from rows of the state.
void MlaExpanded::expand_rows(const StepCtx& ctx, const SeqRows& seq, int64_t key0, int64_t n_keys,
                              const Buffers& b) const {
  const int64_t both = p_.spec.nope + p_.spec.value, L = p_.spec.latent;
  for (int64_t i = 0; i < n_keys; ++i)
    p_.kernels.load_row(p_.kept_row(ctx, seq, key0 + i), p_.width, p_.row_pad, p_.half, b.rows + i * p_.row_pad);
  const LinearImpl& impl = choice_.at(n_keys);
  if (impl.act) impl.act->pack(b.rows, p_.row_pad, n_keys, L, 0, impl.act->units(n_keys, L), b.pack);
  impl.run({reinterpret_cast<const std::byte*>(b.w),
            b.rows,
            p_.row_pad,
            impl.act ? b.pack : nullptr,
            b.kv,
            both,
            0,
            both,
            b.scratch,
            {DType::f32, both, L, n_keys, p_.exact}});
}

/// The queries that see a page meet its n_keys keys, which stand from `at` on in the expanded tile.
void MlaExpanded::meet_page(const AttnTile& tile, int64_t first_pos, int64_t key0, int64_t n_keys, int64_t at,
                            const Buffers& b) const {
  const int64_t N = p_.spec.nope, both = N + p_.spec.value;
  for (int64_t i = 0; i < n_keys; ++i) {
    const float *kv = b.kv + (at + i) * both, *pe = b.rows + (at + i) * p_.row_pad + p_.spec.latent;
    p_.kernels.store_key(kv, N, i, false, b.key);
    p_.kernels.store_key(pe, p_.spec.rotary, i, false, b.key + N * kPageTokens);
    p_.kernels.store_value(kv + N, p_.spec.value, p_.value_pad, i, false, b.value);
  }
  const int64_t blind = std::max<int64_t>(0, key0 - first_pos);
  AttnTile seeing = tile;
  seeing.nq -= blind;
  seeing.q += blind * tile.dk, seeing.lo += blind, seeing.hi += blind, seeing.max += blind, seeing.sum += blind;
  seeing.acc += blind * tile.dv_pad, seeing.s += blind * kPageTokens;
  p_.kernels.attn_page(seeing, b.key, b.value, key0, n_keys);
}

void MlaExpanded::attend(const StepCtx& ctx, const ExpandedTask& task, std::byte* scratch) const {
  const SeqRows& seq = ctx.batch->seqs[static_cast<size_t>(task.seq)];
  Carver carver(scratch);
  const Buffers b = carve(carver);
  const AttnTile tile = load_queries(ctx, task, b);
  expand_head(task.head, b);
  const int64_t first = tile.hi[0], last = first + task.n_rows;
  p_.kernels.attn_begin(tile);
  for (int64_t key0 = 0; key0 < last; key0 += kTileKeys) {
    const int64_t n_keys = std::min(kTileKeys, last - key0);
    expand_rows(ctx, seq, key0, n_keys, b);
    for (int64_t at = 0; at < n_keys; at += kPageTokens)
      meet_page(tile, first, key0 + at, std::min<int64_t>(kPageTokens, n_keys - at), at, b);
  }
  for (int64_t r = 0; r < task.n_rows; ++r)
    p_.kernels.scale_shift(tile.acc + r * p_.value_pad, tile.sum[r] > 0 ? 1 / tile.sum[r] : 0, 0,
                           p_.y.f32() + ((task.row0 + r) * p_.spec.heads + task.head) * p_.spec.value, p_.spec.value);
}

}  // namespace tenon::cpu
