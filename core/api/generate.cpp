// Generation: requests through the engine, their tokens decoded into text as they come, stop strings cut off.
#include <algorithm>
#include <optional>
#include <utility>

#include "api/model.hpp"
#include "base/error.hpp"
#include "engine/stop_strings.hpp"

namespace tenon::api {
namespace {

/// Collects one answer and hands its pieces on.
class Answer {
 public:
  Answer(const GenerateOptions& options, std::shared_ptr<const Tokenizer> tokenizer, int32_t number,
         const AnswerListener& listener)
      : stops_(options.stop), number_(number), listener_(listener) {
    if (tokenizer) decoder_.emplace(std::move(tokenizer), !options.show_special);
  }

  bool on_token(int32_t id) {
    started_ = true;
    const bool wanted = emit(decoder_ ? stops_.feed(decoder_->feed(id)) : std::string(), id);
    return wanted && !stops_.stopped();
  }
  void on_finish(Result result) { result_ = std::move(result); }
  bool finished() const { return result_.has_value(); }
  bool started() const { return started_ || finished(); }

  /// Shows what was held back. Error{internal} when the engine gave up.
  Generation take() {
    if (result_->reason == FinishReason::error) fail(ErrorCode::internal, "[generate] {}", result_->error);
    if (decoder_) {
      std::string rest = stops_.feed(decoder_->flush());
      emit(rest + stops_.flush(), -1);
    }
    const FinishReason reason = stops_.stopped() ? FinishReason::stop : result_->reason;
    return {.text = std::move(text_),
            .ids = std::move(result_->tokens),
            .logprobs = std::move(result_->logprobs),
            .reason = reason,
            .finish_reason = std::string(finish_reason_text(reason)),
            .prompt_tokens = result_->n_prompt,
            .reused_tokens = result_->n_reused,
            .prompt_s = result_->prompt_s,
            .decode_s = result_->decode_s};
  }

 private:
  bool emit(const std::string& piece, int32_t id) {
    text_ += piece;
    return !listener_ || listener_(number_, piece, id);
  }

  std::optional<StreamDecoder> decoder_;
  StopStrings stops_;
  int32_t number_;
  const AnswerListener& listener_;
  bool started_ = false;
  std::string text_;
  std::optional<Result> result_;
};

/// Runs the same request for all answers. The first goes ahead with the prompt, whose pages the others then share.
void run_answers(Runner& runner, const Request& request, std::vector<Answer>& answers,
                 const std::atomic<bool>* cancel) {
  Engine engine(runner);
  std::vector<RequestId> ids;
  const auto submit_next = [&] {
    Answer& answer = answers[ids.size()];
    Request r = request;
    r.sampling.seed = answer_seed(request.sampling.seed, ids.size());
    r.on_token = [&answer](const NewToken& token) { return answer.on_token(token.id); };
    r.on_finish = [&answer](Result result) { answer.on_finish(std::move(result)); };
    ids.push_back(engine.submit(std::move(r)));
  };
  submit_next();
  while (!std::all_of(answers.begin(), answers.end(), [](const Answer& a) { return a.finished(); })) {
    if (cancel && *cancel)
      for (RequestId id : ids) engine.cancel(id);
    engine.step();
    if (answers.front().started())
      while (ids.size() < answers.size()) submit_next();
  }
}

}  // namespace

std::vector<Generation> Model::generate_n(std::vector<int32_t> prompt, int32_t n, const GenerateOptions& options,
                                          const AnswerListener& listener) {
  if (n < 1 || n > kMaxAnswers) fail(ErrorCode::usage, "[generate] n {} is outside 1 ... {}", n, kMaxAnswers);
  const auto tokenizer = options.want_text || !options.stop.empty() ? text().tokenizer() : nullptr;
  Request request{.prompt = std::move(prompt),
                  .max_new_tokens = options.max_new_tokens,
                  .sampling = options.sampling,
                  .ignore_eos = options.ignore_eos && !options.constraint,
                  .constraint = options.constraint,
                  .logprobs = options.logprobs};
  if (!options.ignore_eos || options.constraint) request.stop_ids = stop_ids();

  std::vector<Answer> answers;
  answers.reserve(static_cast<size_t>(n));
  for (int32_t i = 0; i < n; ++i) answers.emplace_back(options, tokenizer, i, listener);
  run_answers(model_->runner(), request, answers, options.cancel);

  std::vector<Generation> out;
  for (Answer& answer : answers) out.push_back(answer.take());
  return out;
}

Generation Model::generate(std::vector<int32_t> prompt, const GenerateOptions& options) {
  return std::move(generate_n(std::move(prompt), 1, options, [&](int32_t, std::string_view piece, int32_t id) {
                     return !options.on_token || options.on_token(piece, id);
                   }).front());
}

Generation Model::chat(const Value& messages, const GenerateOptions& options) {
  return generate(text().render_ids(messages, {}), options);
}

}  // namespace tenon::api
