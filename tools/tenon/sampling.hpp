// How an answer is sampled and reported: shared by the commands that generate.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "api/tenon.hpp"

namespace tenon::tool {

struct SamplingOptions {
  int64_t n = -1;
  double temperature = 0, top_p = 1, min_p = 0;
  double repetition_penalty = 1, presence_penalty = 0, frequency_penalty = 0;
  std::vector<std::string> logit_bias, stop;
  int32_t top_k = 0;
  uint64_t seed = 0;
  const CLI::App* command = nullptr;

  /// The model's own recommendation, changed by the flags that were given; a random seed without --seed.
  api::SamplingParams params(const api::Model& model) const;
};
void add_sampling_options(CLI::App& command, SamplingOptions& options);

/// Of one answer {text, ids, finish_reason, [logprobs,] usage, timings}; of several their list `choices` beside the
/// sums.
Value answers_value(const std::vector<api::Generation>& answers, const api::Model& model, bool logprobs);
/// One line on stderr.
void print_speed(const api::Generation& g);

}  // namespace tenon::tool
