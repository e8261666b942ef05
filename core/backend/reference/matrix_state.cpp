// ssd_scan, wkv6, wkv7 and gated_delta_rule as their contracts say it: per head and token, S [K, V] in f32.
#include <cmath>

#include "backend/reference/recurrent.hpp"

namespace tenon::reference {

namespace {

/// One head of one token: where its rows of each operand begin, and S.
struct Cell {
  int64_t token, head;
  float* s;
  float* y;
};

/// Calls fn(cell) for every token of every sequence and every head, in order. State [heads, keys, values].
template <typename Fn>
void for_each_cell(Run& run, const Node& node, Fn fn) {
  const Shape& shape = run.graph().state(node.states[0]).shape;
  for (const SeqRows& seq : run.batch().seqs) {
    float* s = state_of(run, node.states[0], seq).data();
    for (int64_t t = seq.first_row; t < seq.first_row + seq.n_rows; ++t)
      for (int64_t h = 0; h < shape[0]; ++h)
        fn(Cell{t, h, s + h * shape[1] * shape[2], run.f32(node.outputs[0]) + (t * shape[0] + h) * shape[2]});
  }
}

/// The row of operand `id` [T, G, D] for a head of `heads`.
const float* head_row(Run& run, ValueId id, const Cell& c, int64_t heads) {
  const Shape& shape = run.graph().value(id).shape;
  return run.f32(id) + (c.token * shape[1] + c.head / (heads / shape[1])) * shape[2];
}

double column_dot(const float* x, const float* s, int64_t keys, int64_t values) {
  double sum = 0;
  for (int64_t i = 0; i < keys; ++i) sum += static_cast<double>(x[i]) * s[i * values];
  return sum;
}

std::vector<float> vector_copy(Run& run, ValueId id) {
  const float* v = run.vector(id);
  return v ? std::vector<float>(v, v + run.graph().value(id).shape[0]) : std::vector<float>();
}

}  // namespace

Kernel make_ssd_scan(Run& setup, const Node& node) {
  return [node, a = vector_copy(setup, node.inputs[2]),
          d = vector_copy(setup, node.inputs.size() > 5 ? node.inputs[5] : 0)](Run& run) {
    const Shape& shape = run.graph().state(node.states[0]).shape;
    const int64_t heads = shape[0], keys = shape[1], values = shape[2];
    for_each_cell(run, node, [&](const Cell& cell) {
      const auto h = static_cast<size_t>(cell.head);
      const float *x = head_row(run, node.inputs[0], cell, heads), *b = head_row(run, node.inputs[3], cell, heads),
                  *c = head_row(run, node.inputs[4], cell, heads);
      const double dt = run.f32(node.inputs[1])[cell.token * heads + cell.head], fade = std::exp(dt * a[h]);
      for (int64_t j = 0; j < values; ++j) {
        for (int64_t i = 0; i < keys; ++i) {
          float& s = cell.s[i * values + j];
          s = static_cast<float>(fade * s + dt * b[i] * x[j]);
        }
        const double skip = d.empty() ? 0 : static_cast<double>(d[h]) * x[j];
        cell.y[j] = static_cast<float>(column_dot(c, cell.s + j, keys, values) + skip);
      }
    });
  };
}

Kernel make_wkv6(Run& setup, const Node& node) {
  const bool fixed = setup.graph().value(node.inputs[3]).kind == ValueKind::weight;
  return [node, u = matrix(setup, node.inputs[4]),
          w = fixed ? matrix(setup, node.inputs[3]) : std::vector<float>()](Run& run) {
    const Shape& shape = run.graph().state(node.states[0]).shape;
    const int64_t heads = shape[0], keys = shape[1], values = shape[2];
    for_each_cell(run, node, [&](const Cell& cell) {
      const float *r = head_row(run, node.inputs[0], cell, heads), *k = head_row(run, node.inputs[1], cell, heads),
                  *v = head_row(run, node.inputs[2], cell, heads), *bonus = u.data() + cell.head * keys,
                  *fade = w.empty() ? head_row(run, node.inputs[3], cell, heads) : w.data() + cell.head * keys;
      for (int64_t j = 0; j < values; ++j) {
        double y = 0;
        for (int64_t i = 0; i < keys; ++i) {
          float& s = cell.s[i * values + j];
          const double kv = static_cast<double>(k[i]) * v[j];
          y += r[i] * (s + bonus[i] * kv);
          s = static_cast<float>(std::exp(static_cast<double>(fade[i])) * s + kv);
        }
        cell.y[j] = static_cast<float>(y);
      }
    });
  };
}

Kernel make_wkv7(Run&, const Node& node) {
  return [node](Run& run) {
    const Shape& shape = run.graph().state(node.states[0]).shape;
    const int64_t heads = shape[0], keys = shape[1], values = shape[2];
    for_each_cell(run, node, [&](const Cell& cell) {
      const auto row = [&](size_t operand) { return head_row(run, node.inputs[operand], cell, heads); };
      const float *r = row(0), *w = row(1), *k = row(2), *v = row(3), *a = row(4), *b = row(5);
      for (int64_t j = 0; j < values; ++j) {
        const double z = column_dot(a, cell.s + j, keys, values);
        for (int64_t i = 0; i < keys; ++i) {
          float& s = cell.s[i * values + j];
          s = static_cast<float>(std::exp(static_cast<double>(w[i])) * s + b[i] * z + static_cast<double>(k[i]) * v[j]);
        }
        cell.y[j] = static_cast<float>(column_dot(r, cell.s + j, keys, values));
      }
    });
  };
}

Kernel make_gated_delta_rule(Run& setup, const Node& node) {
  const bool per_head = setup.graph().value(node.inputs[3]).shape.size() == 2;
  return [node, per_head, scale = static_cast<double>(delta_scale(node))](Run& run) {
    const Shape& shape = run.graph().state(node.states[0]).shape;
    const int64_t heads = shape[0], keys = shape[1], values = shape[2];
    for_each_cell(run, node, [&](const Cell& cell) {
      const float *q = head_row(run, node.inputs[0], cell, heads), *k = head_row(run, node.inputs[1], cell, heads),
                  *v = head_row(run, node.inputs[2], cell, heads);
      const int64_t at = cell.token * heads + cell.head;
      const float* g = run.f32(node.inputs[3]) + at * (per_head ? 1 : keys);
      const double beta = run.f32(node.inputs[4])[at];
      for (int64_t j = 0; j < values; ++j) {
        float* s = cell.s + j;
        for (int64_t i = 0; i < keys; ++i)
          s[i * values] = static_cast<float>(std::exp(static_cast<double>(g[per_head ? 0 : i])) * s[i * values]);
        const double z = beta * (v[j] - column_dot(k, s, keys, values));
        for (int64_t i = 0; i < keys; ++i) s[i * values] = static_cast<float>(s[i * values] + k[i] * z);
        cell.y[j] = static_cast<float>(scale * column_dot(q, s, keys, values));
      }
    });
  };
}

}  // namespace tenon::reference
