// add, sub and mul (with broadcasts over rows and within rows), scale_shift, softcap, clamp, unary and glu.
#include <algorithm>

#include "backend/cpu/op.hpp"
#include "backend/cpu/ops/glu.hpp"
#include "base/error.hpp"
#include "graph/catalogue.hpp"

namespace tenon::cpu {

namespace {

static_assert(static_cast<int>(Activation::silu) == static_cast<int>(VecAct::silu));
static_assert(static_cast<int>(Activation::gelu_erf) == static_cast<int>(VecAct::gelu_erf));
static_assert(static_cast<int>(Activation::gelu_tanh) == static_cast<int>(VecAct::gelu_tanh));
static_assert(static_cast<int>(Activation::relu) == static_cast<int>(VecAct::relu));
static_assert(static_cast<int>(Activation::relu2) == static_cast<int>(VecAct::relu2));
static_assert(static_cast<int>(Activation::sigmoid) == static_cast<int>(VecAct::sigmoid));
static_assert(static_cast<int>(Activation::tanh) == static_cast<int>(VecAct::tanh));
static_assert(static_cast<int>(Activation::softplus) == static_cast<int>(VecAct::softplus));
static_assert(static_cast<int>(Activation::exp) == static_cast<int>(VecAct::exp));
static_assert(static_cast<int>(Activation::neg) == static_cast<int>(VecAct::neg));
static_assert(static_cast<int>(Activation::sqrt) == static_cast<int>(VecAct::sqrt));

/// Elements per piece handed out: enough to be worth the hand-out.
constexpr int64_t kPieceElems = 4096;

enum class Kind : uint8_t { add, sub, mul, scale_shift, softcap, clamp, unary, glu };

Kind kind_of(std::string_view op) {
  if (op == "tenon.add/1") return Kind::add;
  if (op == "tenon.sub/1") return Kind::sub;
  if (op == "tenon.mul/1") return Kind::mul;
  if (op == "tenon.scale_shift/1") return Kind::scale_shift;
  if (op == "tenon.softcap/1") return Kind::softcap;
  if (op == "tenon.clamp/1") return Kind::clamp;
  if (op == "tenon.unary/1") return Kind::unary;
  return Kind::glu;
}

class ElementwiseOp final : public CpuOp {
 public:
  ElementwiseOp(CompileCtx& ctx, const FusedNode& fused);
  void run(const StepCtx& ctx, const Team& team) override {
    const int64_t rows = a_.rows(ctx), grain = std::max<int64_t>(1, kPieceElems / a_.width);
    team.for_each(rows, grain, [&](int64_t begin, int64_t end) {
      if (broadcast_.one_value)
        for (int64_t r = begin; r < end; ++r) apply_value(r * a_.width, b_[b_row(r)]);
      else if (broadcast_.rows)
        for (int64_t r = begin; r < end; ++r) apply(r * a_.width, b_row(r) * a_.width, a_.width);
      else
        apply(begin * a_.width, begin * a_.width, (end - begin) * a_.width);
    });
  }
  std::string explain() const override { return why_; }

 private:
  int64_t b_row(int64_t r) const { return broadcast_.rows ? r % broadcast_.rows : r; }
  void apply(int64_t at, int64_t b_at, int64_t n) const;
  /// A row at `at` with one value.
  void apply_value(int64_t at, float b) const {
    const bool scales = kind_ == Kind::mul;
    kernels_.scale_shift(a_.f32() + at, scales ? b : 1,
                         scales               ? 0
                         : kind_ == Kind::sub ? -b
                                              : b,
                         y_.f32() + at, a_.width);
  }

  Kind kind_;
  Val a_, y_;
  const float* b_ = nullptr;
  Broadcast broadcast_;
  VecAct act_ = VecAct::identity;
  std::optional<Glu> glu_;
  float scale_ = 1, shift_ = 0;
  ClampSpec clamp_{};
  std::string why_;
  const VectorKernels& kernels_;
};

ElementwiseOp::ElementwiseOp(CompileCtx& ctx, const FusedNode& fused)
    : kind_(kind_of(fused.node.op)),
      a_(ctx.value(fused.node.inputs[0])),
      y_(ctx.value(fused.node.outputs[0])),
      kernels_(ctx.vector_kernels(fused.node.op, &why_)) {
  const Node& node = fused.node;
  if (node.inputs.size() > 1) {
    const GraphValue& b = ctx.graph.value(node.inputs[1]);
    b_ = b.kind == ValueKind::weight ? ctx.weight_f32(node.inputs[1]) : ctx.value(node.inputs[1]).f32();
    broadcast_ = broadcast(ctx.graph, node);
  }
  if (kind_ == Kind::unary) act_ = static_cast<VecAct>(node_activation(node));
  if (kind_ == Kind::glu) glu_.emplace(kernels_, node);
  if (kind_ == Kind::softcap) scale_ = tenon::softcap(node);
  if (kind_ == Kind::clamp) clamp_ = clamp_spec(node);
  if (kind_ == Kind::scale_shift) {
    scale_ = scale_shift(node).scale;
    shift_ = scale_shift(node).shift;
  }
}

void ElementwiseOp::apply(int64_t at, int64_t b_at, int64_t n) const {
  const float *a = a_.f32() + at, *b = b_ ? b_ + b_at : nullptr;
  float* y = y_.f32() + at;
  switch (kind_) {
    case Kind::add:
      return kernels_.add(a, b, y, n);
    case Kind::sub:
      return kernels_.sub(a, b, y, n);
    case Kind::mul:
      return kernels_.mul(a, b, y, n);
    case Kind::scale_shift:
      return kernels_.scale_shift(a, scale_, shift_, y, n);
    case Kind::softcap:
      return kernels_.softcap(a, scale_, y, n);
    case Kind::clamp:
      return kernels_.clamp(a, clamp_.lo, clamp_.hi, y, n);
    case Kind::unary:
      return kernels_.unary(act_, a, y, n);
    case Kind::glu:
      return (*glu_)(a, b, y, n);
  }
}

}  // namespace

std::unique_ptr<CpuOp> make_elementwise(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<ElementwiseOp>(ctx, fused);
}

}  // namespace tenon::cpu
