// The linear family: tenon.linear/1, host.linear_group, host.linear_glu, host.linear_add, each with an optional norm of
// x in front. One task list over all weights of a node; bias, activation and residual are applied to a piece of columns
// while it is in cache. Activations are packed once per distinct format: small steps normalise and pack in every member
// for itself, which costs less than a barrier; larger ones share the work.
#include <algorithm>
#include <array>

#include "backend/cpu/ops/glu.hpp"
#include "backend/cpu/ops/norm.hpp"
#include "backend/cpu/ops/packing.hpp"
#include "backend/cpu/work_shares.hpp"
#include "base/error.hpp"
#include "graph/catalogue.hpp"

namespace tenon::cpu {

namespace {

/// Up to this many activations (rows * k) every member packs for itself.
constexpr int64_t kPrivateElems = 16384;
constexpr size_t kMaxParts = 64;
constexpr int kPrefetchBytes = 2048;

enum class Kind : uint8_t { group, glu, add };

struct Part {
  const std::byte* w = nullptr;
  uint64_t row_bytes = 0;
  DType dtype = DType::f32;
  int64_t n = 0;
  const float* bias = nullptr;
  const LinearChoice* choice = nullptr;
  Val y;
};

/// What one step needs of one part.
struct PartStep {
  const LinearImpl* impl;
  const std::byte* act;
  int64_t rows_per_piece, n_pieces;
};

class LinearOp final : public CpuOp {
 public:
  LinearOp(CompileCtx& ctx, const FusedNode& fused);
  void run(const StepCtx& ctx, const Team& team) override;
  std::string explain() const override { return explain_; }

 private:
  void add_part(CompileCtx& ctx, const FusedNode& fused, size_t w_operand, size_t b_operand);
  void reserve(CompileCtx& ctx);
  const float* normalise_and_pack(const StepCtx& ctx, const Team& team, int64_t m, PartStep* steps) const;
  LinearCall call_of(const Part& part, const PartStep& step, const float* x, int64_t m, int64_t n0, int64_t n1,
                     std::byte* scratch) const;
  void run_pieces(const PartStep* steps, const float* x, int64_t m, int64_t begin, int64_t end,
                  std::byte* scratch) const;
  void run_columns(const Part& part, const PartStep& step, const float* x, int64_t m, int64_t n0, int64_t n1,
                   std::byte* scratch) const;
  void run_glu(const PartStep* steps, const float* x, int64_t m, int64_t n0, int64_t n1, std::byte* scratch) const;

  Kind kind_ = Kind::group;
  bool exact_;
  Val x_, residual_, normed_;
  std::optional<NormSpec> norm_;
  int64_t k_ = 0;
  std::vector<Part> parts_;
  std::optional<Glu> glu_;
  const VectorKernels* kernels_ = nullptr;
  uint64_t private_x_ = 0, private_pack_ = 0, private_glu_ = 0;  // sizes within a member's scratch, in this order
  int64_t private_rows_ = 0;                                     // largest m that is packed privately
  std::string explain_;
};

LinearOp::LinearOp(CompileCtx& ctx, const FusedNode& fused)
    : exact_(ctx.options.exact), x_(ctx.value(fused.node.inputs[0])) {
  const Node& node = fused.node;
  k_ = x_.width;
  std::string why;
  kernels_ = &ctx.vector_kernels("linear epilogue", &why);
  if (node.op == "host.linear_glu") {
    kind_ = Kind::glu;
    glu_.emplace(*kernels_, node);
  } else if (node.op == "host.linear_add") {
    kind_ = Kind::add;
    residual_ = ctx.value(node.inputs[3]);
  }
  const size_t n_parts = kind_ == Kind::group && node.op != "tenon.linear/1" ? (node.inputs.size() - 1) / 2
                         : kind_ == Kind::glu                                ? 2
                                                                             : 1;
  if (n_parts > kMaxParts) fail(ErrorCode::unsupported, "[{}] {} weights, at most {}", node.op, n_parts, kMaxParts);
  for (size_t i = 0; i < n_parts; ++i) add_part(ctx, fused, 1 + 2 * i, 2 + 2 * i);
  if (fused.norm) {
    norm_ = norm_spec(ctx, *fused.norm);
    normed_ = ctx.value(node.outputs.back());
    explain_ = fused.norm->op + " + " + explain_;
  }
  reserve(ctx);
}

void LinearOp::add_part(CompileCtx& ctx, const FusedNode& fused, size_t w_operand, size_t b_operand) {
  const Node& node = fused.node;
  const HostTensor& w = ctx.weight(node.inputs[w_operand]);
  Part part;
  part.w = w.data;
  part.row_bytes = w.row_bytes();
  part.dtype = w.dtype;
  part.n = w.rows();
  part.bias = b_operand < node.inputs.size() ? ctx.weight_f32(node.inputs[b_operand]) : nullptr;
  part.y = ctx.value(node.outputs[kind_ == Kind::group ? parts_.size() : 0]);
  const int64_t max_m = ctx.max_lead(x_) * x_.rows_per_lead;
  part.choice = &ctx.linear(node.op, part.dtype, part.n, k_, max_m);
  const std::string text = fmt::format("{} [{}, {}] {}", dtype_info(part.dtype).name, part.n, k_,
                                       ctx.explain_linear(*part.choice, part.dtype, part.n, k_, max_m));
  if (explain_.find(text) == std::string::npos) explain_ += (explain_.empty() ? "" : " | ") + text;
  parts_.push_back(part);
}

void LinearOp::reserve(CompileCtx& ctx) {
  const int64_t max_m = ctx.max_lead(x_) * x_.rows_per_lead;
  private_rows_ = std::min(max_m, kPrivateElems / k_);
  uint64_t scratch = 0, shared = 0;
  for (const Part& part : parts_) {
    const PackBound all = pack_bound(*part.choice, part.dtype, part.n, k_, 1, max_m, exact_);
    const PackBound few =
        pack_bound(*part.choice, part.dtype, part.n, k_, 1, std::max<int64_t>(private_rows_, 1), exact_);
    shared += all.bytes;
    private_pack_ += few.bytes;
    scratch = std::max(scratch, all.scratch);
  }
  private_x_ = norm_ ? align64(static_cast<uint64_t>(private_rows_ * k_) * 4) : 0;
  private_glu_ = kind_ == Kind::glu ? align64(static_cast<uint64_t>(std::max(kGluFloats, 64 * max_m)) * 4) : 0;
  ctx.need_shared(shared);
  ctx.need_private(private_x_ + private_pack_ + private_glu_ + scratch);
}

/// Fills in where each part's activations are, packed; returns the plain rows. All members call it alike.
const float* LinearOp::normalise_and_pack(const StepCtx& ctx, const Team& team, int64_t m, PartStep* steps) const {
  const bool alone = m <= private_rows_;
  const float* x = x_.f32();
  if (norm_ && alone) {
    float* own = reinterpret_cast<float*>(ctx.mine(team));
    norm_->rows(x, own, 0, m);
    x = own;
  } else if (norm_) {
    team.for_each(m, 4, [&](int64_t begin, int64_t end) { norm_->rows(x_.f32(), normed_.f32(), begin, end); });
    team.barrier();
    x = normed_.f32();
  }
  std::byte* to = alone ? ctx.mine(team) + private_x_ : ctx.shared;
  bool shared_packs = false;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const ActFormat* format = steps[i].impl->act;
    steps[i].act = nullptr;
    if (!format) continue;
    for (size_t j = 0; j < i && !steps[i].act; ++j)
      if (steps[j].impl->act == format) steps[i].act = steps[j].act;
    if (steps[i].act) continue;
    steps[i].act = to;
    const int64_t units = format->units(m, k_);
    if (alone)
      format->pack(x, k_, m, k_, 0, units, to);
    else
      team.for_each(units, std::max<int64_t>(1, units / (8 * team.size())),
                    [&](int64_t begin, int64_t end) { format->pack(x, k_, m, k_, begin, end, to); });
    shared_packs |= !alone;
    to += align64(format->bytes(m, k_));
  }
  if (shared_packs) team.barrier();
  return x;
}

LinearCall LinearOp::call_of(const Part& part, const PartStep& step, const float* x, int64_t m, int64_t n0, int64_t n1,
                             std::byte* scratch) const {
  return {part.w, x, k_, step.act, part.y.f32(), part.n, n0, n1, scratch, {part.dtype, part.n, k_, m, exact_}};
}

/// The start of a stream that comes next: its first lines arrive while the present one ends.
void prefetch(const std::byte* p) {
  for (int i = 0; i < kPrefetchBytes; i += 64) __builtin_prefetch(p + i);
}

/// Columns [n0, n1) of gate into y, of up into scratch, some at a time, joined while both are in cache.
void LinearOp::run_glu(const PartStep* steps, const float* x, int64_t m, int64_t n0, int64_t n1,
                       std::byte* scratch) const {
  float* up = reinterpret_cast<float*>(scratch);
  std::byte* rest = scratch + private_glu_;
  const Part &gate = parts_[0], &second = parts_[1];
  const int64_t columns = glu_columns(m);
  for (int64_t at = n0; at < n1; at += columns) {
    const int64_t end = std::min(at + columns, n1), width = end - at;
    prefetch(second.w + static_cast<uint64_t>(at) * second.row_bytes);
    steps[0].impl->run(call_of(gate, steps[0], x, m, at, end, rest));
    if (end < gate.n) prefetch(gate.w + static_cast<uint64_t>(end) * gate.row_bytes);
    LinearCall call = call_of(second, steps[1], x, m, 0, width, rest);
    call.w += static_cast<uint64_t>(at) * second.row_bytes;
    call.y = up;
    call.ldy = width;
    steps[1].impl->run(call);
    for (int64_t r = 0; r < m; ++r) {
      float *g = gate.y.f32() + r * gate.n + at, *u = up + r * width;
      if (gate.bias) kernels_->add(g, gate.bias + at, g, width);
      if (second.bias) kernels_->add(u, second.bias + at, u, width);
      (*glu_)(g, u, g, width);
    }
  }
}

/// Pieces [begin, end) of the node's task list, as few calls as the parts allow.
void LinearOp::run_pieces(const PartStep* steps, const float* x, int64_t m, int64_t begin, int64_t end,
                          std::byte* scratch) const {
  size_t i = 0;
  int64_t before = 0;  // pieces of the parts before part i
  while (begin < end) {
    while (begin - before >= steps[i].n_pieces) before += steps[i++].n_pieces;
    const int64_t stop = std::min(end, before + steps[i].n_pieces), rows = steps[i].rows_per_piece;
    const int64_t n0 = (begin - before) * rows, n1 = std::min((stop - before) * rows, parts_[i].n);
    begin = stop;
    if (kind_ == Kind::glu)
      run_glu(steps, x, m, n0, n1, scratch);
    else
      run_columns(parts_[i], steps[i], x, m, n0, n1, scratch + private_glu_);
  }
}

void LinearOp::run_columns(const Part& part, const PartStep& step, const float* x, int64_t m, int64_t n0, int64_t n1,
                           std::byte* scratch) const {
  step.impl->run(call_of(part, step, x, m, n0, n1, scratch));
  for (int64_t r = 0; r < m; ++r) {
    float* y = part.y.f32() + r * part.n + n0;
    if (part.bias) kernels_->add(y, part.bias + n0, y, n1 - n0);
    if (kind_ == Kind::add) kernels_->add(y, residual_.f32() + r * part.n + n0, y, n1 - n0);
  }
}

void LinearOp::run(const StepCtx& ctx, const Team& team) {
  const int64_t m = x_.rows(ctx);
  if (m == 0) return;
  std::array<PartStep, kMaxParts> steps;
  const size_t tasks = kind_ == Kind::glu ? 1 : parts_.size();
  int64_t pieces = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    steps[i].impl = &part.choice->at(m);
    steps[i].rows_per_piece =
        piece_rows(*steps[i].impl, part.row_bytes * (kind_ == Kind::glu ? 2 : 1), part.n, m, team.size());
    if (kind_ == Kind::glu && i == 1)
      steps[0].rows_per_piece = std::max(steps[0].rows_per_piece, steps[1].rows_per_piece);
  }
  for (size_t i = 0; i < tasks; ++i) {
    steps[i].n_pieces = (parts_[i].n + steps[i].rows_per_piece - 1) / steps[i].rows_per_piece;
    pieces += steps[i].n_pieces;
  }
  const float* x = normalise_and_pack(ctx, team, m, steps.data());
  std::byte* scratch = ctx.mine(team) + private_x_ + private_pack_;
  ctx.shares->run(team, pieces,
                  [&](int64_t begin, int64_t end) { run_pieces(steps.data(), x, m, begin, end, scratch); });
}

}  // namespace

std::unique_ptr<CpuOp> make_linear(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<LinearOp>(ctx, fused);
}

}  // namespace tenon::cpu
