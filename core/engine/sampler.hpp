// Picks the next token. Filters run in the order that GGUF runtimes default to: top_k, top_p, min_p, then temperature;
// top_p and min_p thus look at probabilities before temperature. The draw is a counter-based generator on (seed, step)
// through the distribution in id order: it depends on nothing else in the batch, and hardly on the last bits of the
// logits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tenon {

struct SamplingParams {
  float temperature = 0;  // 0: the largest logit, the lower id among equals
  int32_t top_k = 0;      // 0: all
  float top_p = 1;        // 1: all
  float min_p = 0;        // relative to the largest probability; 0: all
  uint64_t seed = 0;

  /// Error{usage} naming the value that is out of range or not finite.
  void validate() const;
};

/// A uniform number in [0, 1) that depends on (seed, step) alone.
double uniform_at(uint64_t seed, uint64_t step);

/// Holds scratch memory only; one serves any number of sequences.
class Sampler {
 public:
  /// Nothing when a logit is NaN or +infinity, or none is finite. -infinity is a token that cannot come.
  std::optional<int32_t> sample(std::span<const float> logits, const SamplingParams& params, uint64_t step);

 private:
  struct Candidate {
    float logit;
    int32_t id;
  };
  void keep_top_k(int32_t k);
  void keep_top_p(float p);
  void keep_min_p(float p, float largest);
  int32_t draw(float temperature, float largest, double u);

  std::vector<Candidate> candidates_;
  std::vector<double> weights_;
};

}  // namespace tenon
