// A loaded model as tools and embedders see it: generate, chat, logits, bench.
//   auto model = tenon::api::Model::load("model.gguf", {});
//   auto answer = model.generate(model.text().encode("Once", {}), {.max_new_tokens = 20});
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/text.hpp"
#include "engine/engine.hpp"
#include "engine/model.hpp"

namespace tenon::api {

using tenon::FinishReason;
using tenon::LoadOptions;
using tenon::ModelInfo;
using tenon::SamplingParams;
using tenon::TokenLogprobs;

struct GenerateOptions {
  int64_t max_new_tokens = -1;  // -1: until a stop id or the end of the context
  SamplingParams sampling = {};
  bool ignore_eos = false;
  bool show_special = false;  // control tokens are part of the text, as they are spelled
  bool want_text = true;      // false: ids only, no tokenizer needed unless there are stop strings
  /// The answer ends before the first of these that is complete; no part of it is ever shown. At most 16 of 1 to 1024
  /// bytes, UTF-8.
  std::vector<std::string> stop = {};
  /// What the answer's text must be; from Model::constraint.
  std::shared_ptr<grammar::TokenMasks> constraint = nullptr;
  int32_t logprobs = -1;  // -1: none; otherwise each token's own and those of so many likeliest, at most 20
  /// Text as it becomes whole UTF-8 and can no longer be part of a stop string (may be empty), and the id behind it;
  /// false cancels. After the last id one more call with the remaining text and id -1.
  std::function<bool(std::string_view text, int32_t id)> on_token = {};
  const std::atomic<bool>* cancel = nullptr;  // looked at between steps
};

struct Generation {
  std::string text = {};
  std::vector<int32_t> ids = {};  // up to the one that completed a stop string
  std::vector<TokenLogprobs> logprobs = {};
  FinishReason reason = FinishReason::stop;
  std::string finish_reason = {};  // "stop", "length", "cancelled"
  int64_t prompt_tokens = 0;
  int64_t reused_tokens = 0;  // of the prompt: those that an earlier one left behind
  double prompt_s = 0, decode_s = 0;
};

inline constexpr int32_t kMaxAnswers = 128;
/// As GenerateOptions::on_token, for the answer of this number.
using AnswerListener = std::function<bool(int32_t answer, std::string_view text, int32_t id)>;

struct LogitsOptions {
  std::vector<int32_t> tokens = {};
  std::vector<int64_t> chunks = {};         // sizes of the pieces; what they leave follows in one piece
  std::optional<int64_t> decode_from = {};  // tokens from here on go one at a time
  int batch = 1;                            // copies in one batch, beside a filler sequence when above 1
};

/// A float32 array in C order.
struct Array {
  std::vector<int64_t> shape;
  std::vector<float> data;
};

struct BenchOptions {
  int64_t n_prompt = 512, n_gen = 128;  // 0 leaves that test out
  int batch = 1;
  int repeats = 5;
  std::function<void(std::string_view what, uint64_t done, uint64_t total)> progress = {};
};
struct BenchTest {
  int64_t n_prompt = 0, n_gen = 0;
  int batch = 1;
  std::vector<double> samples = {};  // tokens per second over all sequences, one per repeat
  double mean = 0, median = 0, stddev = 0, min = 0, max = 0;
};
struct BenchResult {
  std::vector<BenchTest> tests;
  double load_s = 0, ttft_s = 0;  // ttft: prompt of n_prompt tokens in, first token out
  uint64_t peak_rss_bytes = 0;
  std::string isa;
};

class Model {
 public:
  /// Error{not_found | bad_model | bad_plugin | unsupported | capacity | io | usage}.
  static Model load(const std::filesystem::path& path, const LoadOptions& options);

  const ModelInfo& info() const { return model_->info(); }
  int64_t n_vocab() const { return model_->n_vocab(); }
  int64_t n_ctx() const { return model_->n_ctx(); }
  std::vector<std::string> explain() const { return model_->explain(); }
  const std::vector<int32_t>& stop_ids() { return model_->stop_ids(); }
  /// Tokenizer and chat template of this model; loaded at the first call.
  const Text& text();
  /// The text of one token alone, special ones as they are spelled; possibly no whole UTF-8.
  std::string token_text(int32_t id) const { return std::string(model_->tokenizer()->piece(id)); }
  /// A grammar over this model's vocabulary; one serves any number of answers.
  std::shared_ptr<grammar::TokenMasks> constraint(grammar::Grammar grammar);
  /// What generation_config.json recommends, else temperature 0.8, top_k 40, top_p 0.95, min_p 0.05.
  SamplingParams default_sampling() const;

  /// Streams a continuation of `prompt`. Error{usage | capacity} for a prompt that cannot run.
  Generation generate(std::vector<int32_t> prompt, const GenerateOptions& options);
  /// `n` answers to one prompt, side by side; the first is what `generate` gives, the others draw with seeds derived
  /// from its seed. options.on_token is not called.
  std::vector<Generation> generate_n(std::vector<int32_t> prompt, int32_t n, const GenerateOptions& options,
                                     const AnswerListener& listener = {});
  /// The same for a conversation: [{role, content}, ...] through the model's chat template.
  Generation chat(const Value& messages, const GenerateOptions& options);
  /// The ids of a text as a prompt: in a user's turn of the chat template when there is one and `raw` is false.
  std::vector<int32_t> prompt_ids(std::string_view text, bool raw);

  /// [T, n_vocab]: row t are the logits after token t. Load with all_logits and enough max_seqs: `logits_load_options`.
  Array logits(const LogitsOptions& options);
  BenchResult bench(const BenchOptions& options);

  /// The engine below, for several requests at once.
  tenon::Model& core() { return *model_; }

 private:
  explicit Model(std::shared_ptr<tenon::Model> model) : model_(std::move(model)) {}
  std::shared_ptr<tenon::Model> model_;
  std::shared_ptr<Text> text_;
  std::shared_ptr<const grammar::VocabularyTrie> vocabulary_;
};

/// Load options that `logits` needs for these options.
LoadOptions logits_load_options(LoadOptions base, const LogitsOptions& options);
/// Load options that `bench` needs: as many sequences as the batch.
LoadOptions bench_load_options(LoadOptions base, const BenchOptions& options);

/// NumPy's .npy, version 1.0, float32, C order. Error{io} naming the path.
void write_npy(const std::filesystem::path& path, const Array& array);

}  // namespace tenon::api
