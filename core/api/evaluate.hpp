// What a model says about given text: perplexity; of encoders the hidden states and one vector for a text.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "api/model.hpp"

namespace tenon::api {

struct PerplexityOptions {
  int64_t window = 0;  // tokens; 0: the context
  std::function<void(std::string_view what, uint64_t done, uint64_t total)> progress = {};
};

struct Perplexity {
  double perplexity = 0, mean_nll = 0;  // exp(mean_nll); nats per predicted token
  int64_t n_tokens = 0, n_predicted = 0, n_windows = 0, window = 0;
  double seconds = 0;
};

/// Windows of `window` ids that do not overlap, the last one as short as it comes; every id but the first of its window
/// is predicted. Load with `logits_load_options`. Error{usage} for fewer than two ids.
Perplexity perplexity(Model& model, std::span<const int32_t> ids, const PerplexityOptions& options);

/// [T, d]: the final hidden state of each token. Load with `encoder_load_options`. Error{unsupported} for a model whose
/// plugin has no output "hidden".
Array hidden_states(Model& model, std::span<const int32_t> ids);
/// One vector for the whole text, of unit length; as above, with the output "embedding".
std::vector<float> embedding(Model& model, std::span<const int32_t> ids);
/// For texts of at most `n_tokens`: an encoder sees all tokens of a text in one step.
LoadOptions encoder_load_options(LoadOptions base, int64_t n_tokens);

}  // namespace tenon::api
