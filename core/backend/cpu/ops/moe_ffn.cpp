// tenon.moe_ffn/1: (token, choice) pairs sorted by expert, then two grouped products through the same implementations
// as linear: an expert nobody chose costs nothing. The weighted sum runs over the choices in their order, so a token's
// result depends on its company only through the implementation that an expert's count of rows selects.
#include <algorithm>
#include <cstring>

#include "backend/cpu/ops/packing.hpp"
#include "backend/cpu/work_shares.hpp"
#include "base/error.hpp"
#include "graph/catalogue.hpp"

namespace tenon::cpu {

namespace {

/// One stack of expert matrices.
struct Stack {
  const std::byte* w = nullptr;
  uint64_t row_bytes = 0, expert_bytes = 0;
  DType dtype = DType::f32;
  int64_t n = 0, k = 0;
  const LinearChoice* choice = nullptr;
  PackBound bound;
};

/// One expert's pairs: rows [first, first + rows) in the sorted order.
struct Group {
  int32_t expert;
  int64_t first, rows;
  uint64_t gate_act, up_act, down_act;  // where its packed activations start
  int64_t up_piece, down_piece;         // columns per piece
  int64_t up_pieces, down_pieces;       // counts of pieces before this group's
};

class MoeFfnOp final : public CpuOp {
 public:
  MoeFfnOp(CompileCtx& ctx, const FusedNode& fused);
  void run(const StepCtx& ctx, const Team& team) override;
  std::string explain() const override { return explain_; }

 private:
  Stack stack_of(CompileCtx& ctx, const Node& node, size_t operand);
  void sort_pairs(const StepCtx& ctx, int threads);
  void plan_group(Group& g, int64_t up_before, int64_t down_before, uint64_t& act_at, uint64_t& down_at,
                  int threads) const;
  void gather(const Team& team, int64_t pairs) const;
  void pack(const Team& team, const Stack& s, const float* x, int64_t ldx, uint64_t Group::* where,
            std::byte* base) const;
  template <typename Fn>
  void each_expert(int64_t begin, int64_t end, int64_t Group::* pieces_before, int64_t Group::* piece, int64_t n,
                   Fn&& fn) const;
  void up_columns(const Group& g, int64_t n0, int64_t n1, std::byte* scratch) const;
  void run_up(const StepCtx& ctx, const Team& team, std::byte* scratch) const;
  void run_down(const StepCtx& ctx, const Team& team, std::byte* scratch) const;
  LinearCall call_of(const Stack& s, const Group& g, const float* x, const std::byte* act, float* y, int64_t n0,
                     int64_t n1, std::byte* scratch) const;
  void combine(const StepCtx& ctx, const Team& team) const;

  Val x_, ids_, weights_, y_;
  bool exact_;
  int64_t k_choices_, n_experts_, d_, f_;
  Stack gate_, up_, down_;
  VecAct act_;
  uint64_t up_scratch_ = 0;
  std::string explain_, why_;
  const VectorKernels& kernels_;
  // This step's order, written by one member before a barrier.
  std::vector<Group> groups_;
  size_t n_groups_ = 0;
  std::vector<int32_t> counts_, pair_of_, row_of_;  // sorted row -> pair, pair -> sorted row
  // Where things are in the shared scratch.
  float *xs_ = nullptr, *h_ = nullptr, *out_ = nullptr;
  std::byte *act_base_ = nullptr, *down_base_ = nullptr;
  uint64_t xs_at_ = 0, h_at_ = 0, out_at_ = 0, act_at_ = 0, down_at_ = 0;
};

MoeFfnOp::MoeFfnOp(CompileCtx& ctx, const FusedNode& fused)
    : x_(ctx.value(fused.node.inputs[0])),
      ids_(ctx.value(fused.node.inputs[1])),
      weights_(ctx.value(fused.node.inputs[2])),
      y_(ctx.value(fused.node.outputs[0])),
      exact_(ctx.options.exact),
      k_choices_(ids_.width),
      d_(x_.width),
      act_(static_cast<VecAct>(node_activation(fused.node))),
      kernels_(ctx.vector_kernels("moe epilogue", &why_)) {
  n_experts_ = ctx.weight(fused.node.inputs[3]).shape[0];
  f_ = ctx.weight(fused.node.inputs[3]).shape[1];
  gate_ = stack_of(ctx, fused.node, 3);
  up_ = stack_of(ctx, fused.node, 4);
  down_ = stack_of(ctx, fused.node, 5);
  const int64_t pairs = ctx.max_lead(x_) * x_.rows_per_lead * k_choices_;
  counts_.resize(static_cast<size_t>(n_experts_ + 1));
  pair_of_.resize(static_cast<size_t>(pairs));
  row_of_.resize(static_cast<size_t>(pairs));
  groups_.resize(static_cast<size_t>(std::min(pairs, n_experts_)));
  const auto packed = [&](const Stack& s) {
    return align64(static_cast<uint64_t>(s.bound.per_row * static_cast<double>(pairs)) + 64 * groups_.size());
  };
  h_at_ = xs_at_ + align64(static_cast<uint64_t>(pairs * d_) * 4);
  out_at_ = h_at_ + align64(static_cast<uint64_t>(pairs * f_) * 4);
  act_at_ = out_at_ + align64(static_cast<uint64_t>(pairs * d_) * 4);
  down_at_ = act_at_ + packed(gate_) + packed(up_);
  ctx.need_shared(down_at_ + packed(down_));
  up_scratch_ = align64(static_cast<uint64_t>(std::max(kGluFloats, 64 * pairs)) * 4);
  ctx.need_private(up_scratch_ + std::max({gate_.bound.scratch, up_.bound.scratch, down_.bound.scratch}));
}

Stack MoeFfnOp::stack_of(CompileCtx& ctx, const Node& node, size_t operand) {
  const HostTensor& w = ctx.weight(node.inputs[operand]);
  Stack s;
  s.w = w.data;
  s.n = w.shape[1];
  s.k = w.shape[2];
  s.dtype = w.dtype;
  s.row_bytes = w.row_bytes();
  s.expert_bytes = s.row_bytes * static_cast<uint64_t>(s.n);
  const int64_t max_m = ctx.max_lead(x_) * x_.rows_per_lead;  // a token chooses an expert once
  s.choice = &ctx.linear(node.op, s.dtype, s.n, s.k, max_m * k_choices_);
  s.bound = pack_bound(*s.choice, s.dtype, s.n, s.k, 1, max_m * k_choices_, exact_);
  const std::string text = fmt::format("{} [{}, {}, {}] {}", dtype_info(s.dtype).name, n_experts_, s.n, s.k,
                                       ctx.explain_linear(*s.choice, s.dtype, s.n, s.k, max_m));
  if (explain_.find(text) == std::string::npos) explain_ += (explain_.empty() ? "" : " | ") + text;
  return s;
}

void MoeFfnOp::plan_group(Group& g, int64_t up_before, int64_t down_before, uint64_t& act_at, uint64_t& down_at,
                          int threads) const {
  const LinearImpl &gate = gate_.choice->at(g.rows), &up = up_.choice->at(g.rows), &down = down_.choice->at(g.rows);
  g.up_pieces = up_before;
  g.down_pieces = down_before;
  g.up_piece = std::max(piece_rows(gate, 2 * gate_.row_bytes, f_, g.rows, threads),
                        piece_rows(up, 2 * up_.row_bytes, f_, g.rows, threads));
  g.down_piece = piece_rows(down, down_.row_bytes, d_, g.rows, threads);
  g.gate_act = act_at;
  if (gate.act) act_at += align64(gate.act->bytes(g.rows, d_));
  g.up_act = up.act == gate.act ? g.gate_act : act_at;
  if (up.act && up.act != gate.act) act_at += align64(up.act->bytes(g.rows, d_));
  g.down_act = down_at;
  if (down.act) down_at += align64(down.act->bytes(g.rows, f_));
}

void MoeFfnOp::sort_pairs(const StepCtx& ctx, int threads) {
  const int64_t pairs = x_.rows(ctx) * k_choices_;
  const int32_t* ids = ids_.i32(ctx);
  std::fill(counts_.begin(), counts_.end(), 0);
  const auto expert = [&](int64_t p) { return std::clamp<int64_t>(ids[p], 0, n_experts_ - 1); };
  for (int64_t p = 0; p < pairs; ++p) ++counts_[static_cast<size_t>(expert(p) + 1)];
  n_groups_ = 0;
  int64_t up_before = 0, down_before = 0;
  uint64_t act_at = 0, down_at = 0;
  for (int64_t e = 0; e < n_experts_; ++e) {
    const int32_t rows = counts_[static_cast<size_t>(e + 1)], first = counts_[static_cast<size_t>(e)];
    counts_[static_cast<size_t>(e + 1)] = first + rows;
    if (rows == 0) continue;
    Group& g = groups_[n_groups_++];
    g = {static_cast<int32_t>(e), first, rows, 0, 0, 0, 0, 0, 0, 0};
    plan_group(g, up_before, down_before, act_at, down_at, threads);
    up_before += (f_ + g.up_piece - 1) / g.up_piece;
    down_before += (d_ + g.down_piece - 1) / g.down_piece;
  }
  for (int64_t p = 0; p < pairs; ++p) {
    const int32_t row = counts_[static_cast<size_t>(expert(p))]++;
    pair_of_[static_cast<size_t>(row)] = static_cast<int32_t>(p);
    row_of_[static_cast<size_t>(p)] = row;
  }
}

void MoeFfnOp::gather(const Team& team, int64_t pairs) const {
  team.for_each(pairs, 4, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      std::memcpy(xs_ + r * d_, x_.f32() + pair_of_[static_cast<size_t>(r)] / k_choices_ * d_,
                  static_cast<size_t>(d_) * 4);
  });
}

void MoeFfnOp::pack(const Team& team, const Stack& s, const float* x, int64_t ldx, uint64_t Group::* where,
                    std::byte* base) const {
  team.for_each(static_cast<int64_t>(n_groups_), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Group& g = groups_[static_cast<size_t>(i)];
      const ActFormat* format = s.choice->at(g.rows).act;
      // Gate and up share what they pack alike; it is written once.
      if (&s == &up_ && g.up_act == g.gate_act) continue;
      if (format) format->pack(x + g.first * ldx, ldx, g.rows, ldx, 0, format->units(g.rows, ldx), base + g.*where);
    }
  });
}

LinearCall MoeFfnOp::call_of(const Stack& s, const Group& g, const float* x, const std::byte* act, float* y, int64_t n0,
                             int64_t n1, std::byte* scratch) const {
  const std::byte* w = s.w + static_cast<uint64_t>(g.expert) * s.expert_bytes;
  return {w, x + g.first * s.k, s.k, act, y + g.first * s.n, s.n, n0, n1, scratch, {s.dtype, s.n, s.k, g.rows, exact_}};
}

/// Calls fn(group, n0, n1) for the columns of each expert that pieces [begin, end) of the task list cover.
template <typename Fn>
void MoeFfnOp::each_expert(int64_t begin, int64_t end, int64_t Group::* pieces_before, int64_t Group::* piece,
                           int64_t n, Fn&& fn) const {
  for (size_t i = 0; i < n_groups_; ++i) {
    const Group& g = groups_[i];
    const int64_t n0 = std::max<int64_t>(0, begin - g.*pieces_before) * (g.*piece);
    const int64_t n1 = std::min((end - g.*pieces_before) * (g.*piece), n);
    if (n0 < n1) fn(g, n0, n1);
  }
}

/// h = act(gate) * up for columns [n0, n1) of one expert, some at a time, joined while both are in cache.
void MoeFfnOp::up_columns(const Group& g, int64_t n0, int64_t n1, std::byte* scratch) const {
  float* other = reinterpret_cast<float*>(scratch);
  std::byte* rest = scratch + up_scratch_;
  const int64_t columns = glu_columns(g.rows);
  for (int64_t at = n0; at < n1; at += columns) {
    const int64_t end = std::min(at + columns, n1), width = end - at;
    gate_.choice->at(g.rows).run(call_of(gate_, g, xs_, act_base_ + g.gate_act, h_, at, end, rest));
    LinearCall call = call_of(up_, g, xs_, act_base_ + g.up_act, other, 0, width, rest);
    call.w += static_cast<uint64_t>(at) * up_.row_bytes;
    call.y = other;
    call.ldy = width;
    up_.choice->at(g.rows).run(call);
    for (int64_t r = 0; r < g.rows; ++r) {
      float* y = h_ + (g.first + r) * f_ + at;
      kernels_.glu(act_, y, other + r * width, y, width);
    }
  }
}

void MoeFfnOp::run_up(const StepCtx& ctx, const Team& team, std::byte* scratch) const {
  const Group& last = groups_[n_groups_ - 1];
  ctx.shares->run(team, last.up_pieces + (f_ + last.up_piece - 1) / last.up_piece, [&](int64_t begin, int64_t end) {
    each_expert(begin, end, &Group::up_pieces, &Group::up_piece, f_,
                [&](const Group& g, int64_t n0, int64_t n1) { up_columns(g, n0, n1, scratch); });
  });
}

void MoeFfnOp::run_down(const StepCtx& ctx, const Team& team, std::byte* scratch) const {
  const Group& last = groups_[n_groups_ - 1];
  ctx.shares->run(
      team, last.down_pieces + (d_ + last.down_piece - 1) / last.down_piece, [&](int64_t begin, int64_t end) {
        each_expert(begin, end, &Group::down_pieces, &Group::down_piece, d_,
                    [&](const Group& g, int64_t n0, int64_t n1) {
                      down_.choice->at(g.rows).run(
                          call_of(down_, g, h_, down_base_ + g.down_act, out_, n0, n1, scratch + up_scratch_));
                    });
      });
}

void MoeFfnOp::combine(const StepCtx& ctx, const Team& team) const {
  team.for_each(x_.rows(ctx), std::max<int64_t>(1, 2048 / d_), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* y = y_.f32() + t * d_;
      std::fill_n(y, d_, 0.f);
      for (int64_t j = 0; j < k_choices_; ++j) {
        const int64_t p = t * k_choices_ + j;
        kernels_.axpy(weights_.f32()[p], out_ + row_of_[static_cast<size_t>(p)] * d_, y, d_);
      }
    }
  });
}

void MoeFfnOp::run(const StepCtx& ctx, const Team& team) {
  const int64_t pairs = x_.rows(ctx) * k_choices_;
  if (pairs == 0) return;
  if (team.rank() == 0) {
    xs_ = reinterpret_cast<float*>(ctx.shared + xs_at_);
    h_ = reinterpret_cast<float*>(ctx.shared + h_at_);
    out_ = reinterpret_cast<float*>(ctx.shared + out_at_);
    act_base_ = ctx.shared + act_at_;
    down_base_ = ctx.shared + down_at_;
    sort_pairs(ctx, team.size());
  }
  team.barrier();
  gather(team, pairs);
  team.barrier();
  pack(team, gate_, xs_, d_, &Group::gate_act, act_base_);
  if (up_.choice != gate_.choice) pack(team, up_, xs_, d_, &Group::up_act, act_base_);
  team.barrier();
  run_up(ctx, team, ctx.mine(team));
  team.barrier();
  pack(team, down_, h_, f_, &Group::down_act, down_base_);
  team.barrier();
  run_down(ctx, team, ctx.mine(team));
  team.barrier();
  combine(ctx, team);
}

}  // namespace

std::unique_ptr<CpuOp> make_moe_ffn(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<MoeFfnOp>(ctx, fused);
}

}  // namespace tenon::cpu
