// tenon.rms_norm/1 and tenon.layer_norm/1.
#include "backend/cpu/ops/norm.hpp"

#include "graph/catalogue.hpp"

namespace tenon::cpu {

NormSpec norm_spec(CompileCtx& ctx, const Node& node, std::string* explanation) {
  std::string why;
  NormSpec spec;
  spec.kernels = &ctx.vector_kernels(node.op, explanation ? explanation : &why);
  spec.layer = node.op == "tenon.layer_norm/1";
  spec.w = node.inputs.size() > 1 ? ctx.weight_f32(node.inputs[1]) : nullptr;
  spec.b = node.inputs.size() > 2 ? ctx.weight_f32(node.inputs[2]) : nullptr;
  spec.eps = norm_eps(node);
  spec.width = ctx.value(node.inputs[0]).width;
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

}  // namespace

std::unique_ptr<CpuOp> make_norm(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<NormOp>(ctx, fused);
}

}  // namespace tenon::cpu
