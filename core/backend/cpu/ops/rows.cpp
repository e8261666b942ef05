// Ops that move or scale rows: embed, slice, take_rows, position_scale, and reshape, which is a view and runs nothing.
#include <algorithm>
#include <cstring>

#include "backend/cpu/op.hpp"
#include "base/error.hpp"
#include "graph/catalogue.hpp"

namespace tenon::cpu {

namespace {

class EmbedOp final : public CpuOp {
 public:
  EmbedOp(CompileCtx& ctx, const FusedNode& fused)
      : ids_(ctx.value(fused.node.inputs[0])),
        y_(ctx.value(fused.node.outputs[0])),
        table_(ctx.weight(fused.node.inputs[1])),
        row_bytes_(table_.row_bytes()),
        n_rows_(table_.rows()),
        scale_(scale_shift(fused.node).scale),
        kernels_(ctx.vector_kernels(fused.node.op, &why_)) {
    if (!dtype_info(table_.dtype).has_reference)
      fail(ErrorCode::unsupported, "[tenon.embed/1] no dequantiser for {}", dtype_info(table_.dtype).name);
  }

  void run(const StepCtx& ctx, const Team& team) override {
    const int32_t* ids = ids_.i32(ctx);
    team.for_each(ids_.rows(ctx), std::max<int64_t>(1, 2048 / y_.width), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        float* y = y_.f32() + r * y_.width;
        // An id outside the table is the engine's mistake; a row of zeros keeps it from being a crash as well.
        if (ids[r] < 0 || ids[r] >= n_rows_) {
          std::memset(y, 0, static_cast<size_t>(y_.width) * 4);
          continue;
        }
        dequantize_row(table_.dtype, table_.data + static_cast<uint64_t>(ids[r]) * row_bytes_, y, y_.width);
        if (scale_ != 1) kernels_.scale_shift(y, scale_, 0, y, y_.width);
      }
    });
  }
  std::string explain() const override { return std::string("rows of ") + std::string(dtype_info(table_.dtype).name); }

 private:
  Val ids_, y_;
  const HostTensor& table_;
  uint64_t row_bytes_;
  int64_t n_rows_;
  float scale_;
  std::string why_;
  const VectorKernels& kernels_;
};

class SliceOp final : public CpuOp {
 public:
  SliceOp(CompileCtx& ctx, const FusedNode& fused)
      : x_(ctx.value(fused.node.inputs[0])),
        y_(ctx.value(fused.node.outputs[0])),
        start_(slice_spec(fused.node).start) {}
  void run(const StepCtx& ctx, const Team& team) override {
    team.for_each(y_.rows(ctx), std::max<int64_t>(1, 4096 / y_.width), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        std::memcpy(y_.f32() + r * y_.width, x_.f32() + r * x_.width + start_, static_cast<size_t>(y_.width) * 4);
    });
  }
  std::string explain() const override { return "copy"; }

 private:
  Val x_, y_;
  int64_t start_;
};

class PositionScaleOp final : public CpuOp {
 public:
  PositionScaleOp(CompileCtx& ctx, const FusedNode& fused)
      : x_(ctx.value(fused.node.inputs[0])),
        positions_(ctx.value(fused.node.inputs[1])),
        y_(ctx.value(fused.node.outputs[0])),
        spec_(position_scale_spec(fused.node)),
        kernels_(ctx.vector_kernels(fused.node.op, &why_)) {}
  void run(const StepCtx& ctx, const Team& team) override {
    const int32_t* positions = positions_.i32(ctx);
    const int64_t elems = y_.rows_per_lead * y_.width;
    team.for_each(y_.lead_count(ctx), std::max<int64_t>(1, 4096 / elems), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        kernels_.scale_shift(x_.f32() + r * elems, spec_.at(positions[r]), 0, y_.f32() + r * elems, elems);
    });
  }
  std::string explain() const override { return why_; }

 private:
  Val x_, positions_, y_;
  PositionScaleSpec spec_;
  std::string why_;
  const VectorKernels& kernels_;
};

class TakeRowsOp final : public CpuOp {
 public:
  TakeRowsOp(CompileCtx& ctx, const FusedNode& fused)
      : x_(ctx.value(fused.node.inputs[0])),
        rows_(ctx.value(fused.node.inputs[1])),
        y_(ctx.value(fused.node.outputs[0])) {}
  void run(const StepCtx& ctx, const Team& team) override {
    const int32_t* ids = rows_.i32(ctx);
    const int64_t elems = y_.rows_per_lead * y_.width, available = x_.lead_count(ctx);
    team.for_each(y_.lead_count(ctx), std::max<int64_t>(1, 4096 / elems), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        if (ids[r] < 0 || ids[r] >= available)
          std::memset(y_.f32() + r * elems, 0, static_cast<size_t>(elems) * 4);
        else
          std::memcpy(y_.f32() + r * elems, x_.f32() + ids[r] * elems, static_cast<size_t>(elems) * 4);
      }
    });
  }
  std::string explain() const override { return "copy"; }

 private:
  Val x_, rows_, y_;
};

}  // namespace

std::unique_ptr<CpuOp> make_embed(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<EmbedOp>(ctx, fused);
}
std::unique_ptr<CpuOp> make_slice(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<SliceOp>(ctx, fused);
}
std::unique_ptr<CpuOp> make_position_scale(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<PositionScaleOp>(ctx, fused);
}
std::unique_ptr<CpuOp> make_take_rows(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<TakeRowsOp>(ctx, fused);
}
std::unique_ptr<CpuOp> make_view(CompileCtx&, const FusedNode&) { return nullptr; }

}  // namespace tenon::cpu
