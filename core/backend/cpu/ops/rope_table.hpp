// Cosines and sines of one rotary embedding for the rows of a step, shared by all layers that rotate alike.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "backend/cpu/op.hpp"
#include "graph/catalogue.hpp"

namespace tenon::cpu {

class RopeTable {
 public:
  RopeTable(RopeSpec spec, const float* freq_factors, int64_t max_tokens, int64_t max_seqs);

  bool same_as(const RopeTable& other) const;
  /// Chooses the frequencies of each sequence. Those of a planned length not met before are computed here.
  void prepare(const StepCtx& ctx);
  /// Fills rows [begin, end) of the step.
  void fill(const StepCtx& ctx, int64_t begin, int64_t end);

  const float* cos(int64_t row) const { return cos_.data() + row * stride_; }
  const float* sin(int64_t row) const { return sin_.data() + row * stride_; }
  int64_t n_rot() const { return spec_.n_rot; }
  bool interleaved() const { return spec_.layout == RopeLayout::interleaved; }

 private:
  const std::vector<float>& frequencies(int64_t planned_len);

  RopeSpec spec_;
  std::vector<float> factors_;
  bool by_length_ = false;
  int64_t stride_ = 0;                              // floats per row: n_rot / 2, or n_rot when interleaved
  std::map<double, std::vector<float>> by_choice_;  // see rope_choice
  std::vector<const float*> of_seq_;                // this step's, by sequence
  std::vector<float> cos_, sin_;
};

}  // namespace tenon::cpu
