// Continuous batching: any thread submits and cancels, one thread steps. Each step runs the decodes of all sequences
// and, in what room is left, chunks of prompts, shared fairly. Tokens stream out through callbacks on the stepping
// thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/runner.hpp"
#include "engine/sampler.hpp"
#include "text/grammar/mask.hpp"

namespace tenon {

using RequestId = uint64_t;

enum class FinishReason : uint8_t {
  stop,     // a stop id came; it is not among the tokens
  length,   // max_new_tokens reached
  context,  // no room left in the context
  cancelled,
  error,  // see Result::error
};
/// "stop", "length" (also for context), "cancelled", "error": the words API users know.
std::string_view finish_reason_text(FinishReason reason);

struct Result {
  RequestId id = 0;
  std::vector<int32_t> tokens;          // without the stop id
  std::vector<TokenLogprobs> logprobs;  // of each token, when asked for
  FinishReason reason = FinishReason::cancelled;
  std::string error;
  int64_t n_prompt = 0;
  int64_t n_reused = 0;  // of the prompt: tokens whose pages were there already
  double wait_s = 0;     // submission to first step
  double prompt_s = 0;   // first step to first token
  double decode_s = 0;   // first token to the end
};

struct NewToken {
  int32_t id;
  const TokenLogprobs* logprobs;  // null unless asked for; valid during the call
};

struct Request {
  std::vector<int32_t> prompt = {};
  int64_t max_new_tokens = -1;  // -1: until a stop id or the end of the context
  SamplingParams sampling = {};
  std::vector<int32_t> stop_ids = {};
  bool ignore_eos = false;  // stop ids are tokens like others
  /// What the tokens' text must be: stop ids come where it may end, and it ends where nothing can follow.
  std::shared_ptr<grammar::TokenMasks> constraint = nullptr;
  int32_t logprobs = -1;  // -1: none; otherwise each token's own and those of so many likeliest, at most 20
  /// Each new token as it comes; false cancels. Called on the stepping thread; may submit and cancel.
  std::function<bool(const NewToken&)> on_token = {};
  /// Called once, last.
  std::function<void(Result)> on_finish = {};
};

struct EngineStats {
  int64_t steps = 0, new_tokens = 0;
  int64_t prompt_tokens = 0, reused_tokens = 0;  // those that were run, those that were not
  int64_t running = 0, waiting = 0;
};

class Engine {
 public:
  explicit Engine(Runner& runner);
  /// Ends the loop; what still runs finishes as cancelled.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Thread-safe. Error{usage} for an empty prompt, ids outside the vocabulary or bad sampling values, Error{capacity}
  /// for a prompt that leaves no room in the context.
  RequestId submit(Request request);
  /// Thread-safe; takes effect at the next step. Unknown and finished ids are ignored.
  void cancel(RequestId id);

  /// One step on the calling thread; false when there is nothing left to do.
  bool step();
  /// Steps until nothing is left.
  void run_until_idle();
  /// Submits, steps until this request is done and returns its result. Not beside start().
  Result run(Request request);

  /// Steps on a thread of the engine's own until stop().
  void start();
  void stop();

  EngineStats stats() const;

 private:
  struct Sequence;
  using SequencePtr = std::unique_ptr<Sequence>;
  struct Piece {
    Sequence* seq;
    int64_t row;  // of its logits, -1 when the prompt goes on
    int64_t prompt_tokens = 0;
    std::optional<int32_t> token = {};  // sampled from that row
    TokenLogprobs logprobs = {};
    std::string error = {};  // why there is no token
  };

  void check(const Request& request) const;
  void take_inbox();
  void admit_waiting();
  void plan(Step& step, std::vector<Piece>& pieces);
  void plan_prompts(Step& step, std::vector<Piece>& pieces);
  void run_pieces(std::vector<Piece>& pieces);
  void choose(Piece& piece, std::span<const float> logits);
  std::optional<int32_t> sample(const Sequence& seq, std::span<const float> logits);
  void share_pages(Sequence& seq);
  void accept(Piece& piece);
  void follow_constraint(Sequence& seq);
  void push_token(Sequence& seq, int32_t token, TokenLogprobs logprobs);
  void finish(Sequence& seq, FinishReason reason, std::string error = {});
  void drop_finished();
  void cancel_all();
  void loop();

  Runner& runner_;
  Sampler sampler_;
  std::vector<SequencePtr> waiting_, running_;  // the stepping thread's own
  size_t turn_ = 0;                             // which prompt is served first rotates

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::vector<SequencePtr> inbox_;
  std::vector<RequestId> cancels_;
  RequestId next_id_ = 1;
  bool stopping_ = false;
  EngineStats stats_;
  std::thread thread_;
};

}  // namespace tenon
