// tenon.rms_norm/1, tenon.layer_norm/1, tenon.l2_norm/1 and tenon.row_sum/1.
#include "backend/cpu/ops/norm.hpp"

#include "graph/catalogue.hpp"

namespace tenon::cpu {

NormSpec norm_spec(CompileCtx& ctx, const Node& node, std::string* explanation) {
  std::string why;
  NormSpec spec;
  spec.kernels = &ctx.vector_kernels(node.op, explanation ? explanation : &why);
  if (node.op == "tenon.layer_norm/1") spec.kind = NormSpec::Kind::layer;
  if (node.op == "tenon.l2_norm/1") spec.kind = NormSpec::Kind::l2;
  spec.w = node.inputs.size() > 1 ? ctx.weight_f32(node.inputs[1]) : nullptr;
  spec.b = node.inputs.size() > 2 ? ctx.weight_f32(node.inputs[2]) : nullptr;
  spec.eps = norm_eps(node);
  spec.groups = norm_groups(node);
  spec.width = ctx.value(node.inputs[0]).width / spec.groups;
  return spec;
}

namespace {

class NormOp final : public CpuOp {
 public:
  NormOp(CompileCtx& ctx, const FusedNode& fused)
      : x_(ctx.value(fused.node.inputs[0])),
        y_(ctx.value(fused.node.outputs[0])),
        spec_(norm_spec(ctx, fused.node, &why_)) {}
  void run(const StepCtx& ctx, const Team& team) override {
    const int64_t grain = std::max<int64_t>(1, 4096 / x_.width);
    team.for_each(x_.rows(ctx), grain, [&](int64_t begin, int64_t end) { spec_.rows(x_.f32(), y_.f32(), begin, end); });
  }
  std::string explain() const override { return why_; }

 private:
  Val x_, y_;
  std::string why_;
  NormSpec spec_;
};

class RowSumOp final : public CpuOp {
 public:
  RowSumOp(CompileCtx& ctx, const FusedNode& fused)
      : x_(ctx.value(fused.node.inputs[0])),
        y_(ctx.value(fused.node.outputs[0])),
        kernels_(ctx.vector_kernels(fused.node.op, &why_)) {}
  void run(const StepCtx& ctx, const Team& team) override {
    const int64_t grain = std::max<int64_t>(1, 4096 / x_.width);
    team.for_each(x_.rows(ctx), grain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) y_.f32()[r] = kernels_.sum(x_.f32() + r * x_.width, x_.width);
    });
  }
  std::string explain() const override { return why_; }

 private:
  Val x_, y_;
  std::string why_;
  const VectorKernels& kernels_;
};

}  // namespace

std::unique_ptr<CpuOp> make_row_sum(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<RowSumOp>(ctx, fused);
}

std::unique_ptr<CpuOp> make_norm(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<NormOp>(ctx, fused);
}

}  // namespace tenon::cpu
