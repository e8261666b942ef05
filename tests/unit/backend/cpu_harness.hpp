// Runs one small graph on the CPU backend and on the reference, over any ragged steps, and compares.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "backend/backend.hpp"
#include "backend/cpu/cpu.hpp"
#include "backend/reference/reference.hpp"
#include "fixtures.hpp"
#include "graph/graph_builder.hpp"
#include "graph/passes.hpp"

namespace tenon::test {

inline constexpr int kVocab = 61;

/// Random values of a stored type, small enough that nothing overflows.
inline HostTensor random_tensor(DType dtype, Shape shape, std::mt19937& rng, float spread = 1) {
  HostTensor t = HostTensor::allocate(dtype, std::move(shape), "test");
  std::normal_distribution<float> value(0, spread);
  std::byte* p = t.mutable_data();
  const DTypeInfo& info = dtype_info(dtype);
  const auto put = [&](uint64_t at, uint16_t v) { std::memcpy(p + at, &v, 2); };
  if (dtype == DType::f32) {
    for (uint64_t i = 0; i < t.bytes; i += 4) {
      const float v = value(rng);
      std::memcpy(p + i, &v, 4);
    }
  } else if (info.block_elems == 1) {
    for (uint64_t i = 0; i < t.bytes; i += 2)
      put(i, dtype == DType::f16 ? float_to_half(value(rng)) : float_to_bf16(value(rng)));
  } else {
    for (uint64_t i = 0; i < t.bytes; ++i) p[i] = static_cast<std::byte>(rng());
    for (uint64_t i = 0; i < t.bytes; i += static_cast<uint64_t>(info.block_bytes)) {
      put(i, float_to_half(spread * (dtype == DType::q8_0 ? 0.013f : 0.2f)));
      if (dtype == DType::q4_1) put(i + 2, float_to_half(-1.5f * spread));
    }
  }
  return t;
}

struct TestGraph : GraphBuilder {
  std::map<std::string, DType> types;  // by weight name; f32 otherwise
  std::map<std::string, float> spreads;
  ValueId tokens = input("tokens"), positions = input("positions"), row_ids = input("rows");

  ValueId typed(const std::string& name, Shape shape, DType type = DType::f32, float spread = 1) {
    types[name] = type;
    spreads[name] = spread;
    return weight(name, std::move(shape));
  }
  /// Different rows per token: [tokens, dims...].
  ValueId data(const std::string& name, const Shape& dims) {
    int64_t width = 1;
    for (int64_t d : dims) width *= d;
    ValueId x = op("tenon.embed/1", {tokens, typed("table " + name, {kVocab, width})});
    if (dims.size() == 1) return x;
    Shape shape = {kDimTokens};
    shape.insert(shape.end(), dims.begin(), dims.end());
    return op("tenon.reshape/1", {x}, {{"shape", shape}});
  }
  void output(ValueId id) { graph.outputs["y"] = id; }
  std::vector<HostTensor> weights(unsigned seed) const {
    std::mt19937 rng(seed);
    std::vector<HostTensor> all;
    for (const GraphWeight& w : graph.weights) {
      const auto type = types.find(w.name);
      const auto spread = spreads.find(w.name);
      all.push_back(random_tensor(type == types.end() ? DType::f32 : type->second, w.shape, rng,
                                  spread == spreads.end() ? 1 : spread->second));
    }
    return all;
  }
};

/// A step: how many rows of which sequence.
using Step = std::vector<std::pair<int, int>>;

struct RunOptions {
  int threads = 1;
  bool exact = true;
  std::string force = {};
  bool all_rows = true;  // rows that want logits: all, or each sequence's last
  int64_t max_tokens = 96;
};

inline int token_at(int seq, int pos) { return (seq * 17 + pos * 7 + pos * pos % 13) % kVocab; }

/// The output "y" of each step.
inline std::vector<std::vector<float>> run_steps(Backend& backend, const Graph& graph,
                                                 const std::vector<HostTensor>& weights, const std::vector<Step>& steps,
                                                 const RunOptions& o) {
  ExecOptions options;
  options.exact = o.exact;
  options.force = o.force;
  options.max_tokens = o.max_tokens;
  options.max_rows = o.max_tokens;
  options.max_seqs = 16;
  auto exec = backend.compile(graph, weights, options);
  const size_t n_groups = page_groups(graph).windows.size();
  auto states = backend.make_states(graph, {std::vector<int32_t>(n_groups, 16 * 64), 16}, o.exact);
  std::map<int, std::vector<PageTable>> pages;
  std::map<int, int> length;
  int next_page = 3;
  std::vector<std::vector<float>> outputs;
  for (const Step& step : steps) {
    std::vector<int32_t> tokens, positions, rows;
    std::vector<SeqRows> seqs;
    for (const auto& [seq, n] : step) {
      SeqRows s;
      s.first_row = static_cast<int32_t>(tokens.size());
      s.n_rows = n;
      s.pos = length[seq];
      s.planned_len = 100 + seq;
      for (int i = 0; i < n; ++i) {
        tokens.push_back(token_at(seq, s.pos + i));
        positions.push_back(s.pos + i);
        if (o.all_rows || i == n - 1) rows.push_back(static_cast<int32_t>(tokens.size() - 1));
      }
      length[seq] += n;
      pages[seq].resize(n_groups);
      for (PageTable& table : pages[seq])
        while (static_cast<int>(table.size()) * kPageTokens < length[seq])
          table.push_back((next_page += 5) % (16 * 64));
      s.slot = 15 - seq;
      seqs.push_back(s);
    }
    for (size_t i = 0; i < seqs.size(); ++i) seqs[i].pages = pages[step[i].first];
    exec->run({tokens, positions, seqs, rows}, *states);
    const auto y = exec->output("y");
    outputs.emplace_back(y.begin(), y.end());
  }
  return outputs;
}

/// max |a - b| / max |b|; infinite when sizes differ or anything is not finite.
inline double max_error(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return INFINITY;
  double top = 1e-30, error = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i])) return INFINITY;
    top = std::max(top, static_cast<double>(std::fabs(b[i])));
    error = std::max(error, static_cast<double>(std::fabs(a[i] - b[i])));
  }
  return error / top;
}
inline double l2_error(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return INFINITY;
  double top = 1e-30, error = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    top += static_cast<double>(b[i]) * b[i];
    error += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
  }
  return std::isfinite(error) ? std::sqrt(error / top) : INFINITY;
}

inline const std::vector<Step> kRagged = {
    {{0, 5}, {1, 1}}, {{0, 1}, {1, 1}, {2, 33}},       {{1, 40}, {2, 1}, {0, 1}}, {{0, 1}},
    {{3, 64}},        {{0, 1}, {1, 1}, {2, 1}, {3, 1}}};

struct Bounds {
  double exact_max = 2e-5;  // exact: of the largest value
  double fast_l2 = 2e-3;    // fast path, relative L2
};

/// The graph as described and optimised, exact and fast, with 1, 2 and 5 threads, against the reference.
inline void check_graph(const TestGraph& g, const Bounds& bounds = {}, const std::vector<Step>& steps = kRagged,
                        const std::string& force = "") {
  const std::vector<HostTensor> weights = g.weights(7);
  auto reference = make_reference_backend();
  const auto expected = run_steps(*reference, g.graph, weights, steps, {});
  Graph optimised = g.graph;
  optimise(optimised);
  for (int threads : {1, 2, 5}) {
    auto cpu = make_cpu_backend(threads);
    for (bool exact : {true, false})
      for (const Graph* graph : {&g.graph, static_cast<const Graph*>(&optimised)}) {
        const auto got = run_steps(*cpu, *graph, weights, steps, {threads, exact, force});
        for (size_t i = 0; i < got.size(); ++i) {
          CAPTURE(threads);
          CAPTURE(exact);
          CAPTURE(i);
          CAPTURE(graph == &optimised);
          if (exact)
            CHECK(max_error(got[i], expected[i]) <= bounds.exact_max);
          else
            CHECK(l2_error(got[i], expected[i]) <= bounds.fast_l2);
        }
      }
  }
}

/// Names of the vector kernels this processor runs.
inline std::vector<std::string> vector_names(const Backend& backend) {
  std::vector<std::string> names = {"x86-64"};
  if (backend.isa() != "x86-64") names.push_back("avx2");
  if (backend.isa().starts_with("avx512")) names.push_back("avx512");
  return names;
}

}  // namespace tenon::test
