// Compilation and the step of the CPU backend.
#include "backend/cpu/executable.hpp"

#include <algorithm>

#include "backend/cpu/fuse.hpp"
#include "backend/cpu/ops/rope_table.hpp"
#include "backend/cpu/state_pool.hpp"
#include "base/checked.hpp"
#include "base/error.hpp"

namespace tenon::cpu {

namespace {

struct FactoryEntry {
  std::string_view op;
  OpFactory make;
};
constexpr FactoryEntry kFactories[] = {
    {"tenon.embed/1", make_embed},
    {"tenon.linear/1", make_linear},
    {"host.linear_group", make_linear},
    {"host.linear_glu", make_linear},
    {"host.linear_add", make_linear},
    {"tenon.rms_norm/1", make_norm},
    {"tenon.layer_norm/1", make_norm},
    {"tenon.l2_norm/1", make_norm},
    {"tenon.row_sum/1", make_row_sum},
    {"tenon.rope/1", make_rope},
    {"tenon.attention/1", make_attention},
    {"tenon.linear_per_head/1", make_linear_per_head},
    {"tenon.mla_attention/1", make_mla_attention},
    {"tenon.encoder_attention/1", make_encoder_attention},
    {"tenon.pool/1", make_pool},
    {"tenon.add/1", make_elementwise},
    {"tenon.sub/1", make_elementwise},
    {"tenon.mul/1", make_elementwise},
    {"tenon.scale_shift/1", make_elementwise},
    {"tenon.softcap/1", make_elementwise},
    {"tenon.clamp/1", make_elementwise},
    {"tenon.position_scale/1", make_position_scale},
    {"tenon.unary/1", make_elementwise},
    {"tenon.glu/1", make_elementwise},
    {"tenon.reshape/1", make_view},
    {"tenon.slice/1", make_slice},
    {"tenon.take_rows/1", make_take_rows},
    {"tenon.moe_route/1", make_moe_route},
    {"tenon.sparse_mixer/1", make_sparse_mixer},
    {"tenon.moe_ffn/1", make_moe_ffn},
    {"tenon.causal_conv1d/1", make_causal_conv1d},
    {"tenon.token_shift/1", make_token_shift},
    {"tenon.ssm_scan/1", make_ssm_scan},
    {"tenon.ssd_scan/1", make_matrix_state},
    {"tenon.wkv6/1", make_matrix_state},
    {"tenon.wkv7/1", make_matrix_state},
    {"tenon.gated_delta_rule/1", make_matrix_state},
};

/// Bytes of the arena that an op reads or writes; scratch and states have ranges of their own beyond the arena's end.
struct Range {
  uint64_t begin, end;
  bool write;
};

void check_options(const ExecOptions& o) {
  constexpr int64_t kMax = int64_t{1} << 24;
  if (o.max_tokens < 1 || o.max_tokens > kMax || o.max_rows < 0 || o.max_rows > kMax || o.max_seqs < 1 ||
      o.max_seqs > kMax)
    fail(ErrorCode::usage, "[cpu] max_tokens {}, max_rows {}, max_seqs {}: outside [1, {}]", o.max_tokens, o.max_rows,
         o.max_seqs, kMax);
}

void check_weights(const Graph& graph, const std::vector<HostTensor>& weights) {
  if (weights.size() != graph.weights.size())
    fail(ErrorCode::internal, "[cpu] {} weights for a graph of {}", weights.size(), graph.weights.size());
  for (size_t i = 0; i < weights.size(); ++i)
    if (weights[i].shape != graph.weights[i].shape)
      fail(ErrorCode::bad_model, "[cpu] weight \"{}\" {} is stored as {}", graph.weights[i].name,
           shape_text(graph.weights[i].shape), shape_text(weights[i].shape));
}

}  // namespace

OpFactory find_factory(std::string_view op) {
  for (const FactoryEntry& entry : kFactories)
    if (entry.op == op) return entry.make;
  return nullptr;
}

CpuExecutable::CpuExecutable(const Graph& graph, std::vector<HostTensor> weights, const ExecOptions& options,
                             std::shared_ptr<ThreadPool> pool)
    : graph_(graph), options_(options), pool_(std::move(pool)), shares_(pool_->size()) {
  check_options(options_);
  check_weights(graph_, weights);
  const std::vector<FusedNode> nodes = fuse_for_cpu(graph_);
  CompileCtx ctx(graph_, std::move(weights), options_, pool_->size());
  keep_ = ctx.keep;
  ctx.plan = plan_arena(graph_, options_.max_tokens, std::max<int64_t>(options_.max_rows, 1));
  Reservation values(ctx.plan.bytes, "arena");
  ctx.arena = values.data();
  build_ops(ctx, nodes);
  for (const auto& [name, id] : graph_.outputs) outputs_[name] = ctx.value(id);
  // Scratch is known only now; values keep the address the ops were built with, scratch gets a place of its own.
  arena_ = std::move(values);
  ctx_.private_stride = align64(ctx.private_bytes) + 64;
  scratch_ = Reservation(checked_add(checked_mul(ctx_.private_stride, static_cast<uint64_t>(pool_->size()), "scratch"),
                                     align64(ctx.shared_bytes), "scratch"),
                         "scratch");
  ctx_.shares = &shares_;
  ctx_.private_base = scratch_.data();
  ctx_.shared = scratch_.data() + ctx_.private_stride * static_cast<uint64_t>(pool_->size());
  ctx.check_forced();
}

void CpuExecutable::build_ops(CompileCtx& ctx, const std::vector<FusedNode>& nodes) {
  std::vector<const FusedNode*> made;
  for (const FusedNode& fused : nodes) {
    const OpFactory make = find_factory(fused.node.op);
    if (!make)
      fail(ErrorCode::unsupported, "[cpu] no implementation of {} at {}", fused.node.op, location_text(fused.node.at));
    std::unique_ptr<CpuOp> op = make(ctx, fused);
    if (!op) continue;
    const std::string where = fused.node.at.layer >= 0 ? fmt::format("layer {} ", fused.node.at.layer) : "";
    explain_.push_back(fmt::format("{}{}: {}", where, fused.node.op, op->explain()));
    steps_.push_back({std::move(op), false});
    made.push_back(&fused);
  }
  place_barriers(ctx, made);
  std::vector<Step> tables;
  for (auto& table : ctx.keep->ropes) tables.push_back({make_rope_table(ctx, *table), false});
  if (tables.empty()) return;
  explain_.insert(explain_.begin(), tables[0].op->explain());
  // Tables are read much later than the first op; the barrier after them must not depend on that op's operands.
  if (!steps_.empty()) steps_.front().barrier_before = true;
  steps_.insert(steps_.begin(), std::make_move_iterator(tables.begin()), std::make_move_iterator(tables.end()));
}

/// A barrier stands before each op that touches bytes written, or writes bytes touched, since the last one.
void CpuExecutable::place_barriers(const CompileCtx& ctx, const std::vector<const FusedNode*>& nodes) {
  std::vector<Range> since;
  const uint64_t scratch = ctx.plan.bytes, states = scratch + 1;
  for (size_t i = 0; i < nodes.size(); ++i) {
    std::vector<Range> mine = {{scratch, scratch + 1, true}};
    const auto note = [&](ValueId id, bool write) {
      if (id == 0 || graph_.value(id).kind != ValueKind::result) return;
      const Val v = ctx.value(id);
      const uint64_t begin = static_cast<uint64_t>(v.data - ctx.arena);
      const uint64_t elems = static_cast<uint64_t>(ctx.max_lead(v) * v.rows_per_lead * v.width);
      mine.push_back({begin, begin + elems * 4, write});
    };
    for (ValueId id : nodes[i]->node.inputs) note(id, false);
    for (ValueId id : nodes[i]->node.outputs) note(id, true);
    for (StateId id : nodes[i]->node.states) mine.push_back({states + id, states + id + 1, true});
    const auto clash = [&](const Range& a) {
      return std::any_of(since.begin(), since.end(),
                         [&](const Range& b) { return (a.write || b.write) && a.begin < b.end && b.begin < a.end; });
    };
    if (std::any_of(mine.begin(), mine.end(), clash)) {
      steps_[i].barrier_before = true;
      since.clear();
    }
    since.insert(since.end(), mine.begin(), mine.end());
  }
}

void CpuExecutable::run(const Batch& batch, StatePool& states) {
  auto* pool = dynamic_cast<CpuStatePool*>(&states);
  if (!pool) fail(ErrorCode::internal, "[cpu] the state pool belongs to another backend");
  const int64_t n_tokens = static_cast<int64_t>(batch.tokens.size()), n_rows = static_cast<int64_t>(batch.rows.size());
  if (n_tokens > options_.max_tokens || n_rows > options_.max_rows ||
      static_cast<int64_t>(batch.seqs.size()) > options_.max_seqs)
    fail(ErrorCode::internal, "[cpu] step of {} tokens, {} rows, {} sequences exceeds {}, {}, {}", n_tokens, n_rows,
         batch.seqs.size(), options_.max_tokens, options_.max_rows, options_.max_seqs);
  if (pool->half() == options_.exact) fail(ErrorCode::internal, "[cpu] state pool and executable differ in exactness");
  for (const SeqRows& seq : batch.seqs)
    if (seq.pages.size() < pool->groups().size() ||
        (pool->bytes_per_slot() > 0 && (seq.slot < 0 || seq.slot >= pool->n_slots())))
      fail(ErrorCode::internal, "[cpu] a sequence with {} page tables and slot {}, the states have {} and {} slots",
           seq.pages.size(), seq.slot, pool->groups().size(), pool->n_slots());
  ctx_.batch = &batch;
  ctx_.states = pool;
  ctx_.n_tokens = n_tokens;
  ctx_.n_rows = n_rows;
  for (Step& step : steps_) step.op->prepare(ctx_);
  pool_->run([this](const Team& team) {
    for (Step& step : steps_) {
      if (step.barrier_before) team.barrier();
      step.op->run(ctx_, team);
    }
  });
  ctx_.batch = nullptr;
}

uint64_t CpuExecutable::expert_bytes_read() const {
  uint64_t sum = 0;
  for (const Step& step : steps_) sum += step.op->expert_bytes_read();
  return sum;
}

std::span<const float> CpuExecutable::output(std::string_view name) const {
  const auto at = outputs_.find(name);
  if (at == outputs_.end()) fail(ErrorCode::usage, "[cpu] the graph has no output \"{}\"", name);
  const Val& v = at->second;
  return {v.f32(), static_cast<size_t>(v.rows(ctx_) * v.width)};
}

}  // namespace tenon::cpu
