// What ops ask for while they are built: addresses, weights, implementations.
#include <algorithm>
#include <cstring>
#include <set>

#include "backend/cpu/op.hpp"
#include "backend/cpu/ops/rope_table.hpp"
#include "base/error.hpp"

namespace tenon::cpu {

namespace {

std::map<std::string, std::string, std::less<>> parse_force(const std::string& text) {
  std::map<std::string, std::string, std::less<>> pairs;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find(',', at), text.size());
    const std::string item = text.substr(at, end - at);
    const size_t eq = item.find('=');
    if (eq == std::string::npos || eq == 0 || eq + 1 == item.size())
      fail(ErrorCode::usage, "[cpu] force \"{}\" is no op=implementation pair", item);
    pairs[item.substr(0, eq)] = item.substr(eq + 1);
    at = end + 1;
  }
  return pairs;
}

/// "tenon.attention/1" -> "attention"; fused linears answer to "linear" too.
std::string short_name(std::string_view op) {
  const size_t dot = op.find('.');
  if (dot != std::string_view::npos) op.remove_prefix(dot + 1);
  return std::string(op.substr(0, op.find('/')));
}

struct VectorEntry {
  const VectorKernels* kernels;
  const char* (*refuse)(const std::string& isa);
};
const VectorEntry kVectorList[] = {
    {&kVectorAvx512,
     [](const std::string& isa) -> const char* { return isa.starts_with("avx512") ? nullptr : "no AVX-512"; }},
    {&kVectorAvx2, [](const std::string& isa) -> const char* { return isa == "x86-64" ? "no AVX2" : nullptr; }},
    {&kVectorX86, [](const std::string&) -> const char* { return nullptr; }},
};

}  // namespace

const int32_t* Val::i32(const StepCtx& ctx) const {
  switch (source) {
    case Source::tokens:
      return ctx.batch->tokens.data();
    case Source::positions:
      return ctx.batch->positions.data();
    case Source::rows:
      return ctx.batch->rows.data();
    default:
      return reinterpret_cast<const int32_t*>(data);
  }
}

CompileCtx::CompileCtx(const Graph& g, std::vector<HostTensor> weights, const ExecOptions& o, int n_threads)
    : graph(g), options(o), threads(n_threads), keep(std::make_shared<Keep>()), force_(parse_force(o.force)) {
  keep->weights = std::move(weights);
}

Val CompileCtx::value(ValueId id) const {
  Val v;
  if (id == 0) return v;
  const GraphValue& value = graph.value(id);
  v.lead = value.shape.front();
  v.width = value.shape.size() > 1 ? value.shape.back() : 1;
  for (size_t i = 1; i + 1 < value.shape.size(); ++i) v.rows_per_lead *= value.shape[i];
  if (value.shape.size() == 1 && v.lead >= 0) {
    v.width = v.lead;
    v.lead = 1;
  }
  if (value.kind == ValueKind::input) {
    v.source = value.name == "tokens"      ? Val::Source::tokens
               : value.name == "positions" ? Val::Source::positions
               : value.name == "rows"      ? Val::Source::rows
                                           : Val::Source::none;
    if (v.source == Val::Source::none) fail(ErrorCode::unsupported, "[cpu] unknown graph input \"{}\"", value.name);
    return v;
  }
  if (value.kind == ValueKind::weight) return v;
  ValueId home = id;
  while (plan.alias[home - 1]) home = plan.alias[home - 1];
  if (plan.offset[home - 1] == ArenaPlan::kNoPlace)
    fail(ErrorCode::internal, "[cpu] value {} has no place in the arena", id);
  v.source = Val::Source::arena;
  v.data = arena + plan.offset[home - 1];
  return v;
}

int64_t CompileCtx::max_lead(const Val& v) const {
  return v.lead == kDimTokens ? options.max_tokens : v.lead == kDimRows ? options.max_rows : v.lead;
}

const HostTensor& CompileCtx::stored_weight(ValueId id) const {
  const GraphValue& value = graph.value(id);
  if (value.kind != ValueKind::weight) fail(ErrorCode::internal, "[cpu] value {} is no weight", id);
  return keep->weights[value.weight - 1];
}

const HostTensor& CompileCtx::weight(ValueId id) const {
  const HostTensor& stored = stored_weight(id);
  if (!stored.parts) return stored;
  const WeightId w = graph.value(id).weight;
  return keep->weights[w - 1] = stored.joined(graph.weight(w).name);
}

const float* CompileCtx::weight_f32(ValueId id) {
  if (id == 0) return nullptr;
  const HostTensor& t = weight(id);
  if (t.dtype == DType::f32 && reinterpret_cast<uintptr_t>(t.data) % alignof(float) == 0)
    return reinterpret_cast<const float*>(t.data);
  const WeightId w = graph.value(id).weight;
  auto at = keep->f32.find(w);
  if (at == keep->f32.end()) at = keep->f32.emplace(w, t.to_f32(graph.weight(w).name)).first;
  return reinterpret_cast<const float*>(at->second.data);
}

const std::string* CompileCtx::forced(std::string_view op) const {
  auto at = force_.find(op);
  if (at == force_.end()) at = force_.find(short_name(op));
  if (at == force_.end() && short_name(op).starts_with("linear_")) at = force_.find("linear");
  return at == force_.end() ? nullptr : &at->second;
}

const LinearChoice& CompileCtx::linear(std::string_view op, DType w, int64_t n, int64_t k, int64_t max_m) {
  const std::string* want = forced(op);
  const std::string key = fmt::format("{} {} {} {} {}", static_cast<int>(w), n, k, max_m, want ? *want : "");
  if (auto at = keep->choices.find(key); at != keep->choices.end()) return at->second;
  const LinearImpl* impl_wanted = nullptr;
  if (want) {
    force_used_.try_emplace(*want, false);
    for (const LinearImpl& impl : linear_impls())
      if (impl.name == *want) impl_wanted = &impl;
    if (!impl_wanted)
      fail(ErrorCode::usage, "[{}] no implementation \"{}\" on this processor ({})", op, *want, cpu_isa());
  }
  std::vector<LinearChoice::From> from;
  for (int64_t m = 1; m <= std::max<int64_t>(max_m, 1); ++m) {
    const LinearShape shape{w, n, k, m, options.exact};
    const LinearImpl* impl = nullptr;
    if (impl_wanted && !impl_wanted->refuse(shape)) {
      impl = impl_wanted;
      force_used_[*want] = true;
    } else {
      impl = &choose_linear(shape);
    }
    if (from.empty() || from.back().impl != impl) from.push_back({m, impl});
  }
  return keep->choices.emplace(key, LinearChoice(std::move(from))).first->second;
}

std::string CompileCtx::explain_linear(const LinearChoice& choice, DType w, int64_t n, int64_t k, int64_t max_m) const {
  std::string text;
  std::set<int64_t> counts = {1, std::max<int64_t>(max_m, 1)};
  for (const LinearChoice::From& from : choice.ranges()) counts.insert(from.m);
  for (int64_t m : counts) {
    const LinearImpl& chosen = choice.at(m);
    text += fmt::format("{}m={} {}", text.empty() ? "" : "; ", m, chosen.name);
    if (m != 1 && m != max_m) continue;
    std::string refused;
    for (const LinearImpl& impl : linear_impls()) {
      if (&impl == &chosen) break;
      const char* why = impl.refuse({w, n, k, m, options.exact});
      if (why) refused += fmt::format("{}{}: {}", refused.empty() ? "" : ", ", impl.name, why);
    }
    if (!refused.empty()) text += fmt::format(" ({})", refused);
  }
  return text;
}

const VectorKernels& CompileCtx::vector_kernels(std::string_view op, std::string* explanation) {
  const std::string isa = cpu_isa();
  const std::string* want = forced(op);
  std::string refused;
  for (const VectorEntry& entry : kVectorList) {
    const char* why = entry.refuse(isa);
    if (!why && want && *want != entry.kernels->name) why = "not the forced one";
    if (!why) {
      if (want) force_used_[*want] = true;
      *explanation = entry.kernels->name + (refused.empty() ? "" : " (" + refused + ")");
      return *entry.kernels;
    }
    refused += fmt::format("{}{}: {}", refused.empty() ? "" : ", ", entry.kernels->name, why);
  }
  fail(ErrorCode::usage, "[{}] implementation \"{}\" cannot run here: {}", op, *want, refused);
}

RopeTable& CompileCtx::rope_table(const Node& node) {
  const float* factors = node.inputs.size() > 2 ? weight_f32(node.inputs[2]) : nullptr;
  RopeSpec spec = rope_spec(node);
  const auto [short_id, long_id] = rope_factor_lists(node);
  if (short_id) {
    const float *shorts = weight_f32(short_id), *longs = weight_f32(long_id);
    spec.short_factors.assign(shorts, shorts + spec.n_rot / 2);
    spec.long_factors.assign(longs, longs + spec.n_rot / 2);
  }
  auto made = std::make_unique<RopeTable>(std::move(spec), factors, options.max_tokens, options.max_seqs);
  for (auto& table : keep->ropes)
    if (table->same_as(*made)) return *table;
  keep->ropes.push_back(std::move(made));
  return *keep->ropes.back();
}

void CompileCtx::check_forced() const {
  for (const auto& [op, impl] : force_) {
    auto used = force_used_.find(impl);
    if (used == force_used_.end()) fail(ErrorCode::usage, "[cpu] force {}={}: this graph has no such op", op, impl);
    if (!used->second) fail(ErrorCode::usage, "[cpu] force {}={}: it accepts no shape of this graph", op, impl);
  }
}

}  // namespace tenon::cpu
