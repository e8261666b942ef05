// Picks the next token. First logits are adjusted: logit_bias, repetition_penalty (transformers' formula, over prompt
// and answer), then frequency_penalty and presence_penalty (OpenAI's formulas, over the answer). Filters run in the
// order that GGUF runtimes default to: top_k, top_p, min_p, then temperature; top_p and min_p thus look at
// probabilities before temperature. The draw is a counter-based generator on (seed, step) through the distribution in
// id order: it depends on nothing else in the batch, and hardly on the last bits of the logits.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tenon {

struct SamplingParams {
  float temperature = 0;  // 0: the largest logit, the lower id among equals
  int32_t top_k = 0;      // 0: all
  float top_p = 1;        // 1: all
  float min_p = 0;        // relative to the largest probability; 0: all
  uint64_t seed = 0;
  float repetition_penalty = 1;              // above 0; divides positive logits, multiplies others
  float presence_penalty = 0;                // -2 ... 2, once for a token that came
  float frequency_penalty = 0;               // -2 ... 2, for each time that it came
  std::map<int32_t, float> logit_bias = {};  // -100 ... 100, added to the logit of an id

  /// Error{usage} naming the value that is out of range or not finite.
  void validate() const;
  /// True when a penalty needs to know what came before.
  bool has_penalties() const { return repetition_penalty != 1 || presence_penalty != 0 || frequency_penalty != 0; }
};

/// The tokens of one sequence so far, each once, as the penalties see them.
class TokenHistory {
 public:
  struct Entry {
    int32_t id;
    int64_t generated;  // how often it came in the answer; 0: in the prompt only
  };
  void add_prompt(std::span<const int32_t> ids);
  void add_generated(int32_t id) { ++entry(id).generated; }
  std::span<const Entry> entries() const { return entries_; }

 private:
  Entry& entry(int32_t id);
  std::vector<Entry> entries_;
  std::unordered_map<int32_t, size_t> index_;
};

/// Natural logarithms of probabilities under the model's own logits, before any adjustment or filter.
struct TokenLogprobs {
  float logprob = 0;
  std::vector<std::pair<int32_t, float>> top = {};  // the likeliest first, the lower id among equals
};
inline constexpr int32_t kMaxTopLogprobs = 20;
/// Of `token` and of the `n_top` likeliest; fewer when fewer are possible at all.
TokenLogprobs token_logprobs(std::span<const float> logits, int32_t token, int32_t n_top);

/// A uniform number in [0, 1) that depends on (seed, step) alone.
double uniform_at(uint64_t seed, uint64_t step);
/// The seed of the answer of this number among several to one request: the first keeps the seed as it is.
uint64_t answer_seed(uint64_t seed, uint64_t answer);

/// The ids that may be drawn at all.
struct AllowedIds {
  std::span<const uint64_t> mask;        // a bit for each id
  std::span<const int32_t> others = {};  // and these
};

/// Holds scratch memory only; one serves any number of sequences.
class Sampler {
 public:
  /// Nothing when a logit is NaN or +infinity, or none is finite. -infinity is a token that cannot come.
  /// Without a history there are no penalties, without `allowed` every id may come. Ids of logit_bias outside the
  /// logits are ignored.
  std::optional<int32_t> sample(std::span<const float> logits, const SamplingParams& params, uint64_t step,
                                const TokenHistory* history = nullptr, const AllowedIds* allowed = nullptr);

 private:
  struct Candidate {
    float logit;
    int32_t id;
  };
  std::span<const float> adjust(std::span<const float> logits, const SamplingParams& params,
                                const TokenHistory* history, const AllowedIds* allowed);
  void keep_top_k(int32_t k);
  void keep_top_p(float p);
  void keep_min_p(float p, float largest);
  int32_t draw(float temperature, float largest, double u);

  std::vector<Candidate> candidates_;
  std::vector<double> weights_;
  std::vector<float> adjusted_;
};

}  // namespace tenon
