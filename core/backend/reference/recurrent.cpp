// causal_conv1d, token_shift and ssm_scan: one sequence after the other, token by token.
#include "backend/reference/recurrent.hpp"

#include <algorithm>
#include <cmath>

namespace tenon::reference {

std::span<float> state_of(Run& run, StateId state, const SeqRows& seq) {
  const std::span<float> s = run.states().slot(state, seq.slot);
  if (seq.pos == 0) std::fill(s.begin(), s.end(), 0.0f);
  return s;
}

std::vector<float> matrix(Run& run, ValueId id) {
  const Shape& shape = run.graph().value(id).shape;
  std::vector<float> all;
  for (int64_t r = 0; r < shape[0]; ++r) {
    const float* row = run.weight_row(id, r);
    all.insert(all.end(), row, row + shape[1]);
  }
  return all;
}

Kernel make_causal_conv1d(Run& setup, const Node& node) {
  return [x = node.inputs[0], w = matrix(setup, node.inputs[1]), k = setup.graph().value(node.inputs[1]).shape[1],
          b = node.inputs.size() > 2 ? node.inputs[2] : 0, out = node.outputs[0], state = node.states[0],
          act = node_activation(node)](Run& run) {
    const int64_t channels = run.width(x);
    const float* bias = run.vector(b);
    for (const SeqRows& seq : run.batch().seqs) {
      const std::span<float> past = state_of(run, state, seq);  // [K-1, C]
      for (int64_t r = 0; r < seq.n_rows; ++r) {
        const float* row = run.f32(x) + (seq.first_row + r) * channels;
        float* to = run.f32(out) + (seq.first_row + r) * channels;
        for (int64_t c = 0; c < channels; ++c) {
          double sum = bias ? bias[c] : 0;
          for (int64_t j = 0; j + 1 < k; ++j)
            sum += static_cast<double>(w[static_cast<size_t>(c * k + j)]) * past[static_cast<size_t>(j * channels + c)];
          sum += static_cast<double>(w[static_cast<size_t>(c * k + k - 1)]) * row[c];
          to[c] = apply_activation(act, static_cast<float>(sum));
        }
        std::copy(past.begin() + channels, past.end(), past.begin());
        std::copy_n(row, channels, past.end() - channels);
      }
    }
  };
}

Kernel make_token_shift(Run&, const Node& node) {
  return [x = node.inputs[0], out = node.outputs[0], state = node.states[0]](Run& run) {
    const int64_t channels = run.width(x);
    for (const SeqRows& seq : run.batch().seqs) {
      const std::span<float> last = state_of(run, state, seq);
      for (int64_t r = seq.first_row; r < seq.first_row + seq.n_rows; ++r) {
        std::copy(last.begin(), last.end(), run.f32(out) + r * channels);
        std::copy_n(run.f32(x) + r * channels, channels, last.begin());
      }
    }
  };
}

Kernel make_ssm_scan(Run& setup, const Node& node) {
  return [x = node.inputs[0], dt = node.inputs[1], a = matrix(setup, node.inputs[2]),
          n = setup.graph().value(node.inputs[2]).shape[1], b = node.inputs[3], c = node.inputs[4],
          d = node.inputs.size() > 5 ? node.inputs[5] : 0, out = node.outputs[0], state = node.states[0]](Run& run) {
    const int64_t channels = run.width(x);
    const float* skip = run.vector(d);
    for (const SeqRows& seq : run.batch().seqs) {
      const std::span<float> h = state_of(run, state, seq);  // [E, N]
      for (int64_t t = seq.first_row; t < seq.first_row + seq.n_rows; ++t)
        for (int64_t e = 0; e < channels; ++e) {
          const double step = run.f32(dt)[t * channels + e], input = run.f32(x)[t * channels + e];
          double y = skip ? skip[e] * input : 0;
          for (int64_t i = 0; i < n; ++i) {
            float& s = h[static_cast<size_t>(e * n + i)];
            s = static_cast<float>(std::exp(step * a[static_cast<size_t>(e * n + i)]) * s +
                                   step * run.f32(b)[t * n + i] * input);
            y += static_cast<double>(run.f32(c)[t * n + i]) * s;
          }
          run.f32(out)[t * channels + e] = static_cast<float>(y);
        }
    }
  };
}

}  // namespace tenon::reference
