// Generation: one request through the engine, its tokens decoded into text as they come.
#include <optional>

#include "api/model.hpp"
#include "base/error.hpp"

namespace tenon::api {
namespace {

/// Collects a generation and hands its pieces on.
class Listener {
 public:
  Listener(const GenerateOptions& options, std::shared_ptr<const Tokenizer> tokenizer) : options_(options) {
    if (tokenizer) decoder_.emplace(std::move(tokenizer), !options.show_special);
  }

  bool on_token(int32_t id) { return emit(decoder_ ? decoder_->feed(id) : std::string(), id); }

  void end() {
    if (decoder_) emit(decoder_->flush(), -1);
  }

  std::string text() && { return std::move(text_); }

 private:
  bool emit(const std::string& piece, int32_t id) {
    text_ += piece;
    return !options_.on_token || options_.on_token(piece, id);
  }

  const GenerateOptions& options_;
  std::optional<StreamDecoder> decoder_;
  std::string text_;
};

}  // namespace

Generation Model::generate(std::vector<int32_t> prompt, const GenerateOptions& options) {
  Listener listener(options, options.want_text ? text().tokenizer() : nullptr);
  Engine engine(model_->runner());
  std::optional<Result> result;
  Request request{.prompt = std::move(prompt),
                  .max_new_tokens = options.max_new_tokens,
                  .sampling = options.sampling,
                  .ignore_eos = options.ignore_eos,
                  .on_token = [&](int32_t id) { return listener.on_token(id); },
                  .on_finish = [&](Result r) { result = std::move(r); }};
  if (!options.ignore_eos) request.stop_ids = stop_ids();
  const RequestId id = engine.submit(std::move(request));
  while (!result) {
    if (options.cancel && *options.cancel) engine.cancel(id);
    engine.step();
  }
  if (result->reason == FinishReason::error) fail(ErrorCode::internal, "[generate] {}", result->error);
  listener.end();

  Generation out{.text = std::move(listener).text(), .ids = std::move(result->tokens), .reason = result->reason};
  out.finish_reason = finish_reason_text(result->reason);
  out.prompt_tokens = result->n_prompt;
  out.prompt_s = result->prompt_s;
  out.decode_s = result->decode_s;
  return out;
}

Generation Model::chat(const Value& messages, const GenerateOptions& options) {
  return generate(text().render_ids(messages, {}), options);
}

}  // namespace tenon::api
