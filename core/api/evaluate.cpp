#include "api/evaluate.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.hpp"
#include "engine/session.hpp"

namespace tenon::api {
namespace {

/// -log softmax(logits)[id]
double nll(std::span<const float> logits, int32_t id) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float x : logits) sum += std::exp(static_cast<double>(x - largest));
  return std::log(sum) - static_cast<double>(logits[static_cast<size_t>(id)] - largest);
}

/// Sum over a window's predicted ids. Pieces are fed such that their logits stay below 32 MB.
double window_nll(Model& model, std::span<const int32_t> ids) {
  const auto n_vocab = static_cast<size_t>(model.n_vocab());
  const size_t piece = std::clamp<size_t>((size_t{8} << 20) / n_vocab, 8, 512);
  Session session(model.core().runner(), {.planned_len = static_cast<int64_t>(ids.size())});
  std::vector<float> logits;
  double sum = 0;
  for (size_t at = 0; at + 1 < ids.size(); at += piece) {
    const auto part = ids.subspan(at, std::min(piece, ids.size() - 1 - at));
    logits.clear();
    session.append(part, Rows::all, logits);
    for (size_t i = 0; i < part.size(); ++i)
      sum += nll(std::span(logits).subspan(i * n_vocab, n_vocab), ids[at + i + 1]);
  }
  return sum;
}

void check_ids(std::span<const int32_t> ids, int64_t n_vocab) {
  if (ids.size() < 2) fail(ErrorCode::usage, "[perplexity] {} tokens, at least 2 are needed", ids.size());
  for (int32_t id : ids)
    if (id < 0 || id >= n_vocab)
      fail(ErrorCode::usage, "[perplexity] token id {} is outside the vocabulary of {}", id, n_vocab);
}

}  // namespace

Perplexity perplexity(Model& model, std::span<const int32_t> ids, const PerplexityOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  if (model.core().runner().limits().whole)
    fail(ErrorCode::unsupported,
         "[perplexity] the model is an encoder, whose rows see what they would have to predict");
  check_ids(ids, model.n_vocab());
  Perplexity out{.n_tokens = static_cast<int64_t>(ids.size())};
  out.window = options.window > 0 ? options.window : model.n_ctx();
  if (out.window < 2 || out.window > model.n_ctx())
    fail(ErrorCode::usage, "[perplexity] a window of {} tokens, the context is {}", out.window, model.n_ctx());
  double sum = 0;
  for (size_t at = 0; at + 1 < ids.size(); at += static_cast<size_t>(out.window)) {
    const auto window = ids.subspan(at, std::min(static_cast<size_t>(out.window), ids.size() - at));
    if (options.progress) options.progress("perplexity", at, ids.size());
    sum += window_nll(model, window);
    out.n_predicted += static_cast<int64_t>(window.size()) - 1;
    ++out.n_windows;
  }
  out.mean_nll = sum / static_cast<double>(out.n_predicted);
  out.perplexity = std::exp(out.mean_nll);
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

LoadOptions encoder_load_options(LoadOptions base, int64_t n_tokens) {
  base.whole_tokens = std::max(base.whole_tokens, n_tokens);
  base.max_seqs = 1;
  return base;
}

namespace {

/// An output of one step over all ids, [n_rows, width].
Array encode(Model& model, std::span<const int32_t> ids, const std::string& output, Rows rows) {
  if (!model.core().graph().outputs.contains(output))
    fail(ErrorCode::unsupported, "[embed] the plugin \"{}\" describes this model without an output \"{}\"",
         model.info().plugin_id, output);
  const auto n = static_cast<int64_t>(ids.size());
  if (n == 0) fail(ErrorCode::usage, "[embed] no tokens");
  for (int32_t id : ids)
    if (id < 0 || id >= model.n_vocab())
      fail(ErrorCode::usage, "[embed] token id {} is outside the vocabulary of {}", id, model.n_vocab());
  auto seq = model.core().runner().admit(n);
  if (!seq) fail(ErrorCode::capacity, "[embed] a sequence of {} tokens does not fit the pages", n);
  Step step(model.core().runner());
  step.add(*seq, ids, rows);
  step.run();
  const auto values = step.output(output);
  const int64_t n_rows = rows == Rows::none ? n : 1;
  return {{n_rows, std::ssize(values) / n_rows}, {values.begin(), values.end()}};
}

}  // namespace

Array hidden_states(Model& model, std::span<const int32_t> ids) { return encode(model, ids, "hidden", Rows::none); }

std::vector<float> embedding(Model& model, std::span<const int32_t> ids) {
  return encode(model, ids, "embedding", Rows::last).data;
}

}  // namespace tenon::api
