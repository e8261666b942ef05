// Products per head, and tenon.linear_per_head/1.
#include "backend/cpu/ops/head_product.hpp"

#include <algorithm>
#include <cstring>

#include "backend/cpu/ops/packing.hpp"
#include "base/error.hpp"

namespace tenon::cpu {

namespace {
constexpr std::string_view kOp = "tenon.linear_per_head/1";
constexpr int64_t kRows = 8;  // weight rows that are expanded together
constexpr int64_t kRowBlock = 64;

int64_t padded(int64_t n) { return (n + kExpandRoom - 1) / kExpandRoom * kExpandRoom; }
}  // namespace

HeadProduct::HeadProduct(CompileCtx& ctx, ValueId w, int64_t max_m)
    : w_(ctx.weight(w)),
      heads_(w_.shape[0]),
      n_(w_.shape[1]),
      k_(w_.shape[2]),
      row_bytes_(w_.row_bytes()),
      exact_(ctx.options.exact),
      choice_(ctx.linear(kOp, w_.dtype, n_, k_, max_m)),
      expand_(expand_row()),
      kernels_(ctx.vector_kernels("head product", &explain_)) {
  const PackBound bound = pack_bound(choice_, w_.dtype, n_, k_, 1, max_m, exact_);
  pack_bytes_ = bound.bytes;
  impl_bytes_ = bound.scratch;
  rows_bytes_ = static_cast<uint64_t>(kRows * padded(k_)) * 4;
  explain_ = fmt::format("{} [{}, {}, {}] {}", dtype_info(w_.dtype).name, heads_, n_, k_,
                         ctx.explain_linear(choice_, w_.dtype, n_, k_, max_m));
}

void HeadProduct::run(int64_t head, const float* x, int64_t ldx, int64_t m, float* y, int64_t ldy,
                      std::byte* scratch) const {
  const LinearImpl& impl = choice_.at(m);
  if (impl.act) impl.act->pack(x, ldx, m, k_, 0, impl.act->units(m, k_), scratch);
  impl.run({row(head, 0),
            x,
            ldx,
            impl.act ? scratch : nullptr,
            y,
            ldy,
            0,
            n_,
            scratch + pack_bytes_,
            {w_.dtype, n_, k_, m, exact_}});
}

void HeadProduct::run_transposed(int64_t head, const float* x, int64_t ldx, int64_t m, float* y, int64_t ldy,
                                 std::byte* scratch) const {
  float* rows = reinterpret_cast<float*>(scratch);
  const int64_t stride = padded(k_);
  for (int64_t i = 0; i < m; ++i) std::memset(y + i * ldy, 0, static_cast<size_t>(k_) * 4);
  for (int64_t r = 0; r < n_; r += kRows) {
    const int64_t count = std::min(kRows, n_ - r);
    for (int64_t j = 0; j < count; ++j) expand_(w_.dtype, row(head, r + j), rows + j * stride, k_);
    for (int64_t i = 0; i < m; ++i) kernels_.add_rows(x + i * ldx + r, rows, stride, count, y + i * ldy, k_);
  }
}

void HeadProduct::expand(int64_t head, float* to, std::byte* scratch) const {
  float* one = reinterpret_cast<float*>(scratch);
  for (int64_t r = 0; r < n_; ++r) {
    expand_(w_.dtype, row(head, r), one, k_);
    std::memcpy(to + r * k_, one, static_cast<size_t>(k_) * 4);
  }
}

void HeadProduct::expand_transposed(int64_t head, float* to, std::byte* scratch) const {
  float* rows = reinterpret_cast<float*>(scratch);
  const int64_t stride = padded(k_);
  for (int64_t r = 0; r < n_; r += kRows) {  // whole cache lines of the result at a time
    const int64_t count = std::min(kRows, n_ - r);
    for (int64_t j = 0; j < count; ++j) expand_(w_.dtype, row(head, r + j), rows + j * stride, k_);
    for (int64_t c = 0; c < k_; ++c)
      for (int64_t j = 0; j < count; ++j) to[c * n_ + r + j] = rows[j * stride + c];
  }
}

namespace {

class LinearPerHeadOp final : public CpuOp {
 public:
  LinearPerHeadOp(CompileCtx& ctx, const FusedNode& fused)
      : x_(ctx.value(fused.node.inputs[0])),
        y_(ctx.value(fused.node.outputs[0])),
        product_(ctx, fused.node.inputs[1], kRowBlock) {
    ctx.need_private(product_.scratch_bytes());
  }

  void run(const StepCtx& ctx, const Team& team) override {
    const int64_t heads = product_.heads(), rows = x_.rows(ctx) / heads;
    const int64_t blocks = (rows + kRowBlock - 1) / kRowBlock, k = product_.k(), n = product_.n();
    team.for_each(blocks * heads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t row = i / heads * kRowBlock, head = i % heads, m = std::min(kRowBlock, rows - row);
        product_.run(head, x_.f32() + (row * heads + head) * k, heads * k, m, y_.f32() + (row * heads + head) * n,
                     heads * n, ctx.mine(team));
      }
    });
  }
  std::string explain() const override { return product_.explain(); }

 private:
  Val x_, y_;
  HeadProduct product_;
};

}  // namespace

std::unique_ptr<CpuOp> make_linear_per_head(CompileCtx& ctx, const FusedNode& fused) {
  return std::make_unique<LinearPerHeadOp>(ctx, fused);
}

}  // namespace tenon::cpu
