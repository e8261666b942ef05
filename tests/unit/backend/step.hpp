// Runs a test graph on a backend: weights by value, and sequences that grow step by step over scattered pages.
#pragma once

#include <cstring>
#include <random>
#include <vector>

#include "../graph/graph_builder.hpp"
#include "backend/backend.hpp"

namespace tenon::test {

struct TestModel : GraphBuilder {
  std::vector<HostTensor> weights;

  ValueId f32_weight(const std::string& name, Shape shape, const std::vector<float>& values) {
    HostTensor t = HostTensor::allocate(DType::f32, shape, name);
    std::memcpy(t.mutable_data(), values.data(), std::min<uint64_t>(t.bytes, values.size() * 4));
    weights.push_back(std::move(t));
    return weight(name, std::move(shape));
  }

  ValueId random_weight(const std::string& name, Shape shape, uint32_t seed) {
    int64_t n = 1;
    for (int64_t d : shape) n *= d;
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> values(static_cast<size_t>(n));
    for (float& v : values) v = normal(random);
    return f32_weight(name, std::move(shape), values);
  }

  /// Rows that the tokens 0, 1, ... pick: how a test feeds numbers.
  ValueId feed(const std::vector<std::vector<float>>& rows) {
    std::vector<float> flat;
    for (const auto& row : rows) flat.insert(flat.end(), row.begin(), row.end());
    const Shape shape = {static_cast<int64_t>(rows.size()), static_cast<int64_t>(rows[0].size())};
    const ValueId table = f32_weight("feed", shape, flat);
    return op("tenon.embed/1", {input("tokens"), table});
  }

  ValueId heads(ValueId x, int64_t n, int64_t dim) {
    return op("tenon.reshape/1", {x}, {{"shape", Shape{kDimTokens, n, dim}}});
  }
  ValueId slice(ValueId x, int64_t start, int64_t length) {
    return op("tenon.slice/1", {x}, {{"start", start}, {"length", length}});
  }
};

/// One sequence's part of a step.
struct Chunk {
  std::vector<int32_t> tokens;
  int32_t pos = 0;
  std::vector<int32_t> pages = {0};
  int64_t planned_len = 0;
  int32_t slot = 0;
};

class Runner {
 public:
  Runner(Backend& backend, const TestModel& model, bool exact = true, int32_t n_pages = 16) {
    ExecOptions options;
    options.exact = exact;
    options.max_tokens = 256;
    options.max_rows = 256;
    exec = backend.compile(model.graph, model.weights, options);
    const size_t n_groups = page_groups(model.graph).windows.size();
    states = backend.make_states(model.graph, {std::vector<int32_t>(n_groups, n_pages), 16}, exact);
  }

  /// Runs the chunks as one batch, asking for every row, and returns the output "hidden".
  std::vector<float> step(const std::vector<Chunk>& chunks) {
    std::vector<int32_t> tokens, positions, rows;
    std::vector<SeqRows> seqs;
    std::vector<PageTable> tables;  // every group has the same
    tables.reserve(chunks.size() * states->groups().size());
    for (const Chunk& c : chunks) {
      tables.insert(tables.end(), states->groups().size(), c.pages);
      seqs.push_back({static_cast<int32_t>(tokens.size()), static_cast<int32_t>(c.tokens.size()), c.pos, c.planned_len,
                      std::span(tables).last(states->groups().size()), c.slot});
      for (size_t i = 0; i < c.tokens.size(); ++i) {
        rows.push_back(static_cast<int32_t>(tokens.size()));
        tokens.push_back(c.tokens[i]);
        positions.push_back(c.pos + static_cast<int32_t>(i));
      }
    }
    exec->run({tokens, positions, seqs, rows}, *states);
    const std::span<const float> out = exec->output("hidden");
    return {out.begin(), out.end()};
  }

  std::unique_ptr<Executable> exec;
  std::unique_ptr<StatePool> states;
};

inline double max_difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return 1e30;
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return worst;
}

}  // namespace tenon::test
