// tenon.moe_ffn/1 through the same products as linear, on the experts that were chosen and no other.
// One token: its experts stand side by side in one work list, nothing is gathered, and the weighted sum is made where
// the last product's columns arrive. More tokens: (token, choice) pairs in the order of their experts, then two grouped
// products. The weighted sum runs over the choices in their order, so a token's result depends on its company only
// through the implementation that an expert's count of rows selects.
#include <algorithm>
#include <cstring>

#include "backend/cpu/ops/expert_order.hpp"
#include "backend/cpu/ops/glu.hpp"
#include "backend/cpu/ops/packing.hpp"
#include "backend/cpu/work_shares.hpp"
#include "base/error.hpp"

namespace tenon::cpu {

namespace {

/// Up to this many hidden values of one token every member packs for itself: less than a barrier.
constexpr int64_t kPrivateElems = 16384;
/// Columns of one token's result that are summed over its experts at a time: long streams of weights.
constexpr int64_t kSumColumns = 1024;

/// One stack of expert matrices.
struct Stack {
  std::vector<const std::byte*> experts;
  const float* bias = nullptr;  // [experts, n], or null
  uint64_t row_bytes = 0;
  DType dtype = DType::f32;
  int64_t n = 0, k = 0;
  const LinearChoice* choice = nullptr;
  PackBound bound;

  const ActFormat* act(int64_t m) const { return choice->at(m).act; }
  uint64_t act_bytes(int64_t m) const { return act(m) ? align64(act(m)->bytes(m, k)) : 0; }
};

/// Rows that meet one expert: as they are and as packed for an implementation that wants it.
struct Rows {
  int64_t m;
  const float* x;
  const std::byte* act;
};

class MoeFfnOp final : public CpuOp {
 public:
  MoeFfnOp(CompileCtx& ctx, const FusedNode& fused);
  void run(const StepCtx& ctx, const Team& team) override;
  std::string explain() const override { return explain_; }
  uint64_t expert_bytes_read() const override;

 private:
  /// What a member of the team has for itself.
  struct alignas(64) Member {
    ExpertOrder order;
    uint64_t bytes_read = 0;
  };
  struct Scratch {  // of a member
    float* other;   // the second of two products
    std::byte *acts, *products;
  };

  Stack stack_of(CompileCtx& ctx, const Node& node, size_t operand);
  void reserve(CompileCtx& ctx);
  Scratch scratch_of(const StepCtx& ctx, const Team& team) const;
  void columns(Member& me, const Stack& s, int32_t expert, const Rows& rows, int64_t n0, int64_t n1, float* y,
               int64_t ldy, std::byte* scratch) const;
  void up_columns(Member& me, int32_t expert, const Rows& gate, const Rows& up, int64_t n0, int64_t n1, float* h,
                  const Scratch& scratch) const;

  void run_one(const StepCtx& ctx, const Team& team, Member& me) const;
  const std::byte* pack_one(const Stack& s, const float* x, std::byte*& to) const;
  const std::byte* pack_hidden(const StepCtx& ctx, const Team& team, const float* h, std::byte* own) const;
  void sum_columns(const StepCtx& ctx, Member& me, const float* h, const std::byte* acts, int64_t n0, int64_t n1,
                   const Scratch& scratch) const;

  void run_many(const StepCtx& ctx, const Team& team, Member& me) const;
  void plan(ExpertOrder& order, int threads) const;
  void gather(const Team& team, const ExpertOrder& order, int64_t pairs, float* xs) const;
  void pack(const Team& team, const Stack& s, const ExpertOrder& order, const float* x, uint64_t ExpertGroup::* where,
            std::byte* base) const;
  void run_up(const StepCtx& ctx, const Team& team, Member& me) const;
  void run_down(const StepCtx& ctx, const Team& team, Member& me) const;
  void combine(const StepCtx& ctx, const Team& team, const ExpertOrder& order) const;

  Val x_, ids_, weights_, y_;
  bool exact_;
  int64_t k_choices_, n_experts_ = 0, d_ = 0, f_ = 0;
  Stack gate_, up_, down_;
  std::string explain_, why_;
  const VectorKernels& kernels_;
  Glu glu_;
  int32_t expert(const StepCtx& ctx, int64_t j) const {
    return static_cast<int32_t>(std::clamp<int64_t>(ids_.i32(ctx)[j], 0, n_experts_ - 1));
  }
  std::vector<Member> members_;
  uint64_t other_bytes_ = 0, one_acts_bytes_ = 0;              // of a member's scratch
  uint64_t h_at_ = 0, out_at_ = 0, act_at_ = 0, down_at_ = 0;  // in the shared scratch, after the gathered rows
};

MoeFfnOp::MoeFfnOp(CompileCtx& ctx, const FusedNode& fused)
    : x_(ctx.value(fused.node.inputs[0])),
      ids_(ctx.value(fused.node.inputs[1])),
      weights_(ctx.value(fused.node.inputs[2])),
      y_(ctx.value(fused.node.outputs[0])),
      exact_(ctx.options.exact),
      k_choices_(ids_.width),
      kernels_(ctx.vector_kernels("moe epilogue", &why_)),
      glu_(kernels_, fused.node) {
  const Shape& shape = ctx.graph.value(fused.node.inputs[3]).shape;
  n_experts_ = shape[0], f_ = shape[1], d_ = shape[2];
  gate_ = stack_of(ctx, fused.node, 3);
  up_ = stack_of(ctx, fused.node, 4);
  down_ = stack_of(ctx, fused.node, 5);
  reserve(ctx);
}

Stack MoeFfnOp::stack_of(CompileCtx& ctx, const Node& node, size_t operand) {
  const HostTensor& w = ctx.stored_weight(node.inputs[operand]);
  Stack s;
  for (int64_t e = 0; e < w.shape[0]; ++e) s.experts.push_back(w.part(e));
  s.bias = node.inputs.size() > operand + 3 ? ctx.weight_f32(node.inputs[operand + 3]) : nullptr;
  s.n = w.shape[1];
  s.k = w.shape[2];
  s.dtype = w.dtype;
  s.row_bytes = w.row_bytes();
  const int64_t max_m = ctx.max_lead(x_) * k_choices_;
  s.choice = &ctx.linear(node.op, s.dtype, s.n, s.k, max_m);
  s.bound = pack_bound(*s.choice, s.dtype, s.n, s.k, 1, max_m, exact_);
  const std::string text = fmt::format("{} [{}, {}, {}] {}", dtype_info(s.dtype).name, n_experts_, s.n, s.k,
                                       ctx.explain_linear(*s.choice, s.dtype, s.n, s.k, max_m));
  if (explain_.find(text) == std::string::npos) explain_ += (explain_.empty() ? "" : " | ") + text;
  return s;
}

void MoeFfnOp::reserve(CompileCtx& ctx) {
  const int64_t pairs = ctx.max_lead(x_) * k_choices_, groups = std::min(pairs, n_experts_);
  for (int i = 0; i < ctx.threads; ++i) members_.push_back({ExpertOrder(n_experts_, pairs)});
  const auto packed = [&](const Stack& s) {
    return align64(static_cast<uint64_t>(s.bound.per_row * static_cast<double>(pairs)) +
                   64 * static_cast<uint64_t>(groups));
  };
  h_at_ = align64(static_cast<uint64_t>(pairs * d_) * 4);
  out_at_ = h_at_ + align64(static_cast<uint64_t>(pairs * f_) * 4);
  act_at_ = out_at_ + align64(static_cast<uint64_t>(pairs * d_) * 4);
  down_at_ = act_at_ + packed(gate_) + packed(up_);
  ctx.need_shared(down_at_ + packed(down_));
  other_bytes_ = align64(static_cast<uint64_t>(std::max({kGluFloats, 64 * pairs, kSumColumns})) * 4);
  const int64_t own_rows = k_choices_ * f_ <= kPrivateElems ? k_choices_ : 0;
  one_acts_bytes_ = gate_.act_bytes(1) + up_.act_bytes(1) + static_cast<uint64_t>(own_rows) * down_.act_bytes(1);
  ctx.need_private(other_bytes_ + one_acts_bytes_ +
                   std::max({gate_.bound.scratch, up_.bound.scratch, down_.bound.scratch}));
}

MoeFfnOp::Scratch MoeFfnOp::scratch_of(const StepCtx& ctx, const Team& team) const {
  std::byte* mine = ctx.mine(team);
  return {reinterpret_cast<float*>(mine), mine + other_bytes_, mine + other_bytes_ + one_acts_bytes_};
}

/// Columns [n0, n1) of one expert's product and bias; column n0 of row 0 goes to y.
void MoeFfnOp::columns(Member& me, const Stack& s, int32_t expert, const Rows& rows, int64_t n0, int64_t n1, float* y,
                       int64_t ldy, std::byte* scratch) const {
  const std::byte* w = s.experts[static_cast<size_t>(expert)] + static_cast<uint64_t>(n0) * s.row_bytes;
  s.choice->at(rows.m).run(
      {w, rows.x, s.k, rows.act, y, ldy, 0, n1 - n0, scratch, {s.dtype, s.n, s.k, rows.m, exact_}});
  me.bytes_read += static_cast<uint64_t>(n1 - n0) * s.row_bytes;
  if (!s.bias) return;
  for (int64_t r = 0; r < rows.m; ++r) kernels_.add(y + r * ldy, s.bias + expert * s.n + n0, y + r * ldy, n1 - n0);
}

/// h = glu(gate, up) for columns [n0, n1) of one expert, some at a time, joined while both are in cache.
void MoeFfnOp::up_columns(Member& me, int32_t expert, const Rows& gate, const Rows& up, int64_t n0, int64_t n1,
                          float* h, const Scratch& scratch) const {
  const int64_t step = glu_columns(gate.m);
  for (int64_t at = n0; at < n1; at += step) {
    const int64_t end = std::min(at + step, n1), width = end - at;
    columns(me, gate_, expert, gate, at, end, h + at, f_, scratch.products);
    columns(me, up_, expert, up, at, end, scratch.other, width, scratch.products);
    for (int64_t r = 0; r < gate.m; ++r) glu_(h + r * f_ + at, scratch.other + r * width, h + r * f_ + at, width);
  }
}

// ---- one token --------------------------------------------------------------------------------------------------

/// One row packed at `to`, which moves on; null where the implementation takes plain rows.
const std::byte* MoeFfnOp::pack_one(const Stack& s, const float* x, std::byte*& to) const {
  const ActFormat* format = s.act(1);
  if (!format) return nullptr;
  std::byte* at = to;
  format->pack(x, s.k, 1, s.k, 0, format->units(1, s.k), at);
  to += s.act_bytes(1);
  return at;
}

/// The hidden row of each choice, packed one after the other.
const std::byte* MoeFfnOp::pack_hidden(const StepCtx& ctx, const Team& team, const float* h, std::byte* own) const {
  if (!down_.act(1)) return nullptr;
  if (k_choices_ * f_ <= kPrivateElems) {
    std::byte* to = own;
    for (int64_t j = 0; j < k_choices_; ++j) pack_one(down_, h + j * f_, to);
    return own;
  }
  std::byte* base = ctx.shared + down_at_;
  team.for_each(k_choices_, 1, [&](int64_t j, int64_t) {
    std::byte* to = base + static_cast<uint64_t>(j) * down_.act_bytes(1);
    pack_one(down_, h + j * f_, to);
  });
  team.barrier();
  return base;
}

/// Columns [n0, n1) of the token's result: the weighted sum over its experts.
void MoeFfnOp::sum_columns(const StepCtx& ctx, Member& me, const float* h, const std::byte* acts, int64_t n0,
                           int64_t n1, const Scratch& scratch) const {
  for (int64_t at = n0; at < n1; at += kSumColumns) {
    const int64_t end = std::min(at + kSumColumns, n1), width = end - at;
    float* y = y_.f32() + at;
    std::fill_n(y, width, 0.f);
    for (int64_t j = 0; j < k_choices_; ++j) {
      const std::byte* act = acts ? acts + static_cast<uint64_t>(j) * down_.act_bytes(1) : nullptr;
      columns(me, down_, expert(ctx, j), {1, h + j * f_, act}, at, end, scratch.other, width, scratch.products);
      kernels_.axpy(weights_.f32()[j], scratch.other, y, width);
    }
  }
}

void MoeFfnOp::run_one(const StepCtx& ctx, const Team& team, Member& me) const {
  const Scratch scratch = scratch_of(ctx, team);
  const float* x = x_.f32();
  float* h = reinterpret_cast<float*>(ctx.shared + h_at_);
  std::byte* acts = scratch.acts;
  const Rows gate = {1, x, pack_one(gate_, x, acts)};
  const Rows up = {1, x, up_.act(1) == gate_.act(1) ? gate.act : pack_one(up_, x, acts)};
  const int64_t piece = std::max(piece_rows(gate_.choice->at(1), 2 * gate_.row_bytes, f_, 1, team.size()),
                                 piece_rows(up_.choice->at(1), 2 * up_.row_bytes, f_, 1, team.size()));
  const int64_t pieces = (f_ + piece - 1) / piece;
  ctx.shares->run(team, k_choices_ * pieces, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin / pieces; j * pieces < end; ++j)
      up_columns(me, expert(ctx, j), gate, up, std::max<int64_t>(begin - j * pieces, 0) * piece,
                 std::min((end - j * pieces) * piece, f_), h + j * f_, scratch);
  });
  team.barrier();
  const std::byte* hidden = pack_hidden(ctx, team, h, acts);
  const int64_t columns = piece_rows(down_.choice->at(1), down_.row_bytes, d_, 1, team.size());
  ctx.shares->run(team, (d_ + columns - 1) / columns, [&](int64_t begin, int64_t end) {
    sum_columns(ctx, me, h, hidden, begin * columns, std::min(end * columns, d_), scratch);
  });
}

// ---- many tokens ------------------------------------------------------------------------------------------------

/// Where each group's packed rows lie and how its columns are cut; the same in every member.
void MoeFfnOp::plan(ExpertOrder& order, int threads) const {
  int64_t up_before = 0, down_before = 0;
  uint64_t act_at = 0, down_at = 0;
  for (ExpertGroup& g : order.groups()) {
    g.up_pieces = up_before;
    g.down_pieces = down_before;
    g.up_piece = std::max(piece_rows(gate_.choice->at(g.rows), 2 * gate_.row_bytes, f_, g.rows, threads),
                          piece_rows(up_.choice->at(g.rows), 2 * up_.row_bytes, f_, g.rows, threads));
    g.down_piece = piece_rows(down_.choice->at(g.rows), down_.row_bytes, d_, g.rows, threads);
    up_before += (f_ + g.up_piece - 1) / g.up_piece;
    down_before += (d_ + g.down_piece - 1) / g.down_piece;
    g.gate_act = g.up_act = act_at;
    act_at += gate_.act_bytes(g.rows);
    if (up_.act(g.rows) != gate_.act(g.rows)) g.up_act = act_at, act_at += up_.act_bytes(g.rows);
    g.down_act = down_at;
    down_at += down_.act_bytes(g.rows);
  }
}

void MoeFfnOp::gather(const Team& team, const ExpertOrder& order, int64_t pairs, float* xs) const {
  team.for_each(pairs, 4, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      std::memcpy(xs + r * d_, x_.f32() + order.pair_of(r) / k_choices_ * d_, static_cast<size_t>(d_) * 4);
  });
}

void MoeFfnOp::pack(const Team& team, const Stack& s, const ExpertOrder& order, const float* x,
                    uint64_t ExpertGroup::* where, std::byte* base) const {
  const auto groups = order.groups();
  team.for_each(static_cast<int64_t>(groups.size()), 1, [&](int64_t i, int64_t) {
    const ExpertGroup& g = groups[static_cast<size_t>(i)];
    // Gate and up share what they pack alike; it is written once.
    if (&s == &up_ && up_.act(g.rows) == gate_.act(g.rows)) return;
    if (const ActFormat* format = s.act(g.rows))
      format->pack(x + g.first * s.k, s.k, g.rows, s.k, 0, format->units(g.rows, s.k), base + g.*where);
  });
}

/// Calls fn(group, n0, n1) for the columns of each expert that pieces [begin, end) of the work list cover.
template <typename Fn>
void each_expert(std::span<const ExpertGroup> groups, int64_t begin, int64_t end, int64_t ExpertGroup::* before,
                 int64_t ExpertGroup::* piece, int64_t n, Fn&& fn) {
  auto g = std::upper_bound(groups.begin(), groups.end(), begin,
                            [&](int64_t at, const ExpertGroup& group) { return at < group.*before; });
  for (--g; g != groups.end() && (*g).*before < end; ++g) {
    const int64_t n0 = std::max<int64_t>(0, begin - (*g).*before) * ((*g).*piece);
    const int64_t n1 = std::min((end - (*g).*before) * ((*g).*piece), n);
    if (n0 < n1) fn(*g, n0, n1);
  }
}

void MoeFfnOp::run_up(const StepCtx& ctx, const Team& team, Member& me) const {
  const Scratch scratch = scratch_of(ctx, team);
  const float* xs = reinterpret_cast<const float*>(ctx.shared);
  float* h = reinterpret_cast<float*>(ctx.shared + h_at_);
  const auto groups = std::as_const(me.order).groups();
  const ExpertGroup& last = groups.back();
  ctx.shares->run(team, last.up_pieces + (f_ + last.up_piece - 1) / last.up_piece, [&](int64_t begin, int64_t end) {
    each_expert(groups, begin, end, &ExpertGroup::up_pieces, &ExpertGroup::up_piece, f_,
                [&](const ExpertGroup& g, int64_t n0, int64_t n1) {
                  const float* x = xs + g.first * d_;
                  const std::byte* acts = ctx.shared + act_at_;
                  up_columns(me, g.expert, {g.rows, x, acts + g.gate_act}, {g.rows, x, acts + g.up_act}, n0, n1,
                             h + g.first * f_, scratch);
                });
  });
}

void MoeFfnOp::run_down(const StepCtx& ctx, const Team& team, Member& me) const {
  const Scratch scratch = scratch_of(ctx, team);
  const float* h = reinterpret_cast<const float*>(ctx.shared + h_at_);
  float* out = reinterpret_cast<float*>(ctx.shared + out_at_);
  const auto groups = std::as_const(me.order).groups();
  const ExpertGroup& last = groups.back();
  ctx.shares->run(
      team, last.down_pieces + (d_ + last.down_piece - 1) / last.down_piece, [&](int64_t begin, int64_t end) {
        each_expert(groups, begin, end, &ExpertGroup::down_pieces, &ExpertGroup::down_piece, d_,
                    [&](const ExpertGroup& g, int64_t n0, int64_t n1) {
                      const Rows rows = {g.rows, h + g.first * f_, ctx.shared + down_at_ + g.down_act};
                      columns(me, down_, g.expert, rows, n0, n1, out + g.first * d_ + n0, d_, scratch.products);
                    });
      });
}

void MoeFfnOp::combine(const StepCtx& ctx, const Team& team, const ExpertOrder& order) const {
  const float* out = reinterpret_cast<const float*>(ctx.shared + out_at_);
  team.for_each(x_.rows(ctx), std::max<int64_t>(1, 2048 / d_), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* y = y_.f32() + t * d_;
      std::fill_n(y, d_, 0.f);
      for (int64_t p = t * k_choices_; p < (t + 1) * k_choices_; ++p)
        kernels_.axpy(weights_.f32()[p], out + order.row_of(p) * d_, y, d_);
    }
  });
}

void MoeFfnOp::run_many(const StepCtx& ctx, const Team& team, Member& me) const {
  const int64_t pairs = x_.rows(ctx) * k_choices_;
  float* xs = reinterpret_cast<float*>(ctx.shared);
  me.order.sort(ids_.i32(ctx), pairs);
  plan(me.order, team.size());
  gather(team, me.order, pairs, xs);
  team.barrier();
  pack(team, gate_, me.order, xs, &ExpertGroup::gate_act, ctx.shared + act_at_);
  if (up_.choice != gate_.choice) pack(team, up_, me.order, xs, &ExpertGroup::up_act, ctx.shared + act_at_);
  team.barrier();
  run_up(ctx, team, me);
  team.barrier();
  pack(team, down_, me.order, reinterpret_cast<float*>(ctx.shared + h_at_), &ExpertGroup::down_act,
       ctx.shared + down_at_);
  team.barrier();
  run_down(ctx, team, me);
  team.barrier();
  combine(ctx, team, me.order);
}

void MoeFfnOp::run(const StepCtx& ctx, const Team& team) {
  const int64_t rows = x_.rows(ctx);
  Member& me = members_[static_cast<size_t>(team.rank())];
  if (rows == 1) run_one(ctx, team, me);
  if (rows > 1) run_many(ctx, team, me);
}

uint64_t MoeFfnOp::expert_bytes_read() const {
  uint64_t sum = 0;
  for (const Member& m : members_) sum += m.bytes_read;
  return sum;
}

}  // namespace

std::unique_ptr<CpuOp> make_moe_ffn(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<MoeFfnOp>(ctx, fused);
}

}  // namespace tenon::cpu
