// The stepping loop: admission, what runs in a step, what becomes of its logits. See engine.hpp.
#include "engine/engine.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include "base/error.hpp"

namespace tenon {
namespace {

using Clock = std::chrono::steady_clock;

double seconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

struct Engine::Sequence {
  Request request;
  Result result;
  int64_t max_new = 0;            // as allowed by the context
  bool cut_by_context = false;    // max_new is less than what was asked for
  PrefixCache::Hold shared;       // the pages that others may use, too
  std::optional<SeqCache> cache;  // from admission to the end
  TokenHistory history;           // kept where penalties are
  int32_t pending = -1;           // the newest token, not yet fed; -1 while the prompt is
  grammar::State place = 0;       // of the text within the request's constraint
  bool cancelled = false, finished = false;
  Clock::time_point submitted, started, first_token;

  int32_t token_at(size_t i) const {
    return i < request.prompt.size() ? request.prompt[i] : result.tokens[i - request.prompt.size()];
  }
  int64_t prompt_left() const {
    return result.n_prompt - std::min<int64_t>(result.n_prompt, cache ? cache->length() : 0);
  }
};

std::string_view finish_reason_text(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
    case FinishReason::context:
      return "length";
    case FinishReason::cancelled:
      return "cancelled";
    case FinishReason::error:
      break;
  }
  return "error";
}

Engine::Engine(Runner& runner) : runner_(runner) {}

Engine::~Engine() {
  stop();
  cancel_all();
}

void Engine::check(const Request& request) const {
  const auto& limits = runner_.limits();
  const auto n_prompt = static_cast<int64_t>(request.prompt.size());
  request.sampling.validate();
  for (const auto& [id, bias] : request.sampling.logit_bias)
    if (id >= limits.n_vocab)
      fail(ErrorCode::usage, "[sampling] logit_bias names the id {} outside the vocabulary of {}", id, limits.n_vocab);
  if (request.logprobs < -1 || request.logprobs > kMaxTopLogprobs)
    fail(ErrorCode::usage, "[request] logprobs {} is outside 0 ... {}", request.logprobs, kMaxTopLogprobs);
  if (limits.whole) fail(ErrorCode::unsupported, "[request] the model is an encoder, it does not continue texts");
  if (n_prompt == 0) fail(ErrorCode::usage, "[request] the prompt has no tokens");
  for (int32_t id : request.prompt)
    if (id < 0 || id >= limits.n_vocab)
      fail(ErrorCode::usage, "[request] token id {} is outside the vocabulary of {}", id, limits.n_vocab);
  if (n_prompt >= limits.n_ctx)
    fail(ErrorCode::capacity, "[request] a prompt of {} tokens leaves no room in the context of {}", n_prompt,
         limits.n_ctx);
}

RequestId Engine::submit(Request request) {
  check(request);
  const auto n_prompt = static_cast<int64_t>(request.prompt.size());
  auto seq = std::make_unique<Sequence>();
  const int64_t room = runner_.limits().n_ctx - n_prompt;
  seq->cut_by_context = request.max_new_tokens < 0 || request.max_new_tokens > room;
  seq->max_new = seq->cut_by_context ? room : request.max_new_tokens;
  if (request.sampling.has_penalties()) seq->history.add_prompt(request.prompt);
  if (request.constraint) seq->place = request.constraint->start();
  seq->request = std::move(request);
  seq->result.n_prompt = n_prompt;
  seq->submitted = Clock::now();

  std::lock_guard lock(mutex_);
  const RequestId id = next_id_++;
  seq->result.id = id;
  inbox_.push_back(std::move(seq));
  ++stats_.waiting;
  wake_.notify_one();
  return id;
}

void Engine::cancel(RequestId id) {
  std::lock_guard lock(mutex_);
  cancels_.push_back(id);
  wake_.notify_one();
}

void Engine::take_inbox() {
  std::vector<RequestId> cancels;
  {
    std::lock_guard lock(mutex_);
    std::move(inbox_.begin(), inbox_.end(), std::back_inserter(waiting_));
    inbox_.clear();
    cancels.swap(cancels_);
  }
  for (RequestId id : cancels)
    for (auto* list : {&waiting_, &running_})
      for (auto& seq : *list)
        if (seq->result.id == id) seq->cancelled = true;
  for (auto* list : {&waiting_, &running_})
    for (auto& seq : *list) {
      if (seq->cancelled)
        finish(*seq, FinishReason::cancelled);
      else if (seq->max_new == 0)
        finish(*seq, FinishReason::length);
    }
  drop_finished();
}

// In order of arrival: the first that does not fit holds back the others, so that none starves.
void Engine::admit_waiting() {
  size_t taken = 0;
  for (; taken < waiting_.size(); ++taken) {
    if (static_cast<int64_t>(running_.size()) >= runner_.limits().max_seqs) break;
    Sequence& seq = *waiting_[taken];
    seq.cache = runner_.admit(seq.result.n_prompt + seq.max_new, seq.request.prompt, seq.shared);
    if (!seq.cache) break;
    seq.result.n_reused = seq.cache->length();
    seq.started = Clock::now();
    seq.result.wait_s = seconds(seq.submitted, seq.started);
    running_.push_back(std::move(waiting_[taken]));
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(taken));
}

void Engine::plan(Step& step, std::vector<Piece>& pieces) {
  for (auto& seq : running_)
    if (seq->pending >= 0)
      pieces.push_back({.seq = seq.get(), .row = step.add(*seq->cache, {&seq->pending, 1}, Rows::last)});
  plan_prompts(step, pieces);
}

// What the decodes leave is shared equally; what a short prompt does not need goes to the later ones of this turn.
void Engine::plan_prompts(Step& step, std::vector<Piece>& pieces) {
  std::vector<Sequence*> prompts;
  for (auto& seq : running_)
    if (seq->pending < 0) prompts.push_back(seq.get());
  if (prompts.empty()) return;
  std::rotate(prompts.begin(), prompts.begin() + static_cast<std::ptrdiff_t>(turn_++ % prompts.size()), prompts.end());

  auto left = static_cast<int64_t>(prompts.size());
  for (Sequence* seq : prompts) {
    const int64_t share = (step.tokens_left() + left - 1) / left;
    --left;
    const int64_t n = std::min(share, seq->prompt_left());
    if (n < 1) break;
    const bool last = n == seq->prompt_left();
    const auto tokens = std::span(seq->request.prompt).subspan(static_cast<size_t>(seq->cache->length()));
    const int64_t row = step.add(*seq->cache, tokens.first(static_cast<size_t>(n)), last ? Rows::last : Rows::none);
    pieces.push_back({.seq = seq, .row = last ? row : -1, .prompt_tokens = n});
  }
}

// Listeners are called when the runner is free again: they may take their time, or use it.
bool Engine::step() {
  take_inbox();
  admit_waiting();
  std::vector<Piece> pieces;
  if (!running_.empty()) {
    try {
      run_pieces(pieces);
    } catch (const std::exception& e) {  // nobody's rows in particular: the whole batch is lost
      for (auto& seq : running_) finish(*seq, FinishReason::error, e.what());
    }
    for (Piece& p : pieces) {
      if (!p.seq->finished) share_pages(*p.seq);
      if (p.row >= 0 && !p.seq->finished) accept(p);
    }
  }
  drop_finished();

  std::lock_guard lock(mutex_);
  stats_.steps += !pieces.empty();
  for (const Piece& p : pieces) stats_.prompt_tokens += p.prompt_tokens;
  stats_.running = static_cast<int64_t>(running_.size());
  stats_.waiting = static_cast<int64_t>(waiting_.size() + inbox_.size());
  return stats_.running + stats_.waiting > 0;
}

void Engine::run_pieces(std::vector<Piece>& pieces) {
  Step step(runner_);
  plan(step, pieces);
  step.run();
  for (Piece& p : pieces)
    if (p.row >= 0) choose(p, step.logits(p.row));
}

void Engine::choose(Piece& piece, std::span<const float> logits) {
  const Request& request = piece.seq->request;
  try {
    piece.token = sample(*piece.seq, logits);
    if (!piece.token) piece.error = "[sampler] the logits are not finite";
  } catch (const std::exception& e) {  // of this request's constraint
    piece.error = e.what();
  }
  if (piece.token && request.logprobs >= 0) piece.logprobs = token_logprobs(logits, *piece.token, request.logprobs);
}

std::optional<int32_t> Engine::sample(const Sequence& seq, std::span<const float> logits) {
  const Request& request = seq.request;
  const size_t step = seq.result.tokens.size();
  if (!request.constraint) return sampler_.sample(logits, request.sampling, step, &seq.history);
  const auto mask = request.constraint->mask(seq.place);
  AllowedIds allowed{.mask = *mask};
  if (request.constraint->accepts(seq.place)) allowed.others = request.stop_ids;
  return sampler_.sample(logits, request.sampling, step, &seq.history, &allowed);
}

// Pages are for others as soon as they are full, not only when the sequence has ended.
void Engine::share_pages(Sequence& seq) {
  PrefixCache* prefixes = runner_.prefixes();
  if (!prefixes) return;
  for (size_t page = seq.shared.size(); page == seq.shared.size(); ++page) {
    const size_t first = page * kPageTokens;
    if (static_cast<int64_t>(first) + kPageTokens > seq.cache->length()) break;
    std::array<int32_t, kPageTokens> tokens;
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = seq.token_at(first + i);
    if (prefixes->append(seq.shared, tokens, seq.cache->tables()[0][page])) seq.cache->disown(page);
  }
}

void Engine::accept(Piece& piece) {
  Sequence& seq = *piece.seq;
  if (!piece.token) return finish(seq, FinishReason::error, std::move(piece.error));
  if (seq.pending < 0) {
    seq.first_token = Clock::now();
    seq.result.prompt_s = seconds(seq.started, seq.first_token);
  }
  seq.pending = *piece.token;
  const auto& stops = seq.request.stop_ids;
  if (!seq.request.ignore_eos && std::find(stops.begin(), stops.end(), seq.pending) != stops.end())
    return finish(seq, FinishReason::stop);
  push_token(seq, seq.pending, std::move(piece.logprobs));
  if (seq.request.constraint && !seq.finished) follow_constraint(seq);
}

void Engine::follow_constraint(Sequence& seq) {
  grammar::TokenMasks& constraint = *seq.request.constraint;
  try {
    seq.place = constraint.after(seq.place, seq.pending);
    if (seq.place == grammar::kNoState)
      fail(ErrorCode::internal, "[constraint] token {} cannot come here", seq.pending);
    if (constraint.complete(seq.place)) finish(seq, FinishReason::stop);
  } catch (const std::exception& e) {
    finish(seq, FinishReason::error, e.what());
  }
}

void Engine::push_token(Sequence& seq, int32_t token, TokenLogprobs logprobs) {
  seq.result.tokens.push_back(token);
  if (seq.request.sampling.has_penalties()) seq.history.add_generated(token);
  const bool with_logprobs = seq.request.logprobs >= 0;
  if (with_logprobs) seq.result.logprobs.push_back(std::move(logprobs));
  const NewToken news{.id = token, .logprobs = with_logprobs ? &seq.result.logprobs.back() : nullptr};
  try {
    if (seq.request.on_token && !seq.request.on_token(news)) return finish(seq, FinishReason::cancelled);
  } catch (const std::exception& e) {
    return finish(seq, FinishReason::error, e.what());
  }
  if (static_cast<int64_t>(seq.result.tokens.size()) >= seq.max_new)
    finish(seq, seq.cut_by_context ? FinishReason::context : FinishReason::length);
}

void Engine::finish(Sequence& seq, FinishReason reason, std::string error) {
  seq.finished = true;
  seq.result.reason = reason;
  seq.result.error = std::move(error);
  if (seq.pending >= 0) seq.result.decode_s = seconds(seq.first_token, Clock::now());
}

// Pages go back before anyone hears of the end: whoever waits for it may submit at once.
void Engine::drop_finished() {
  std::vector<SequencePtr> ended;
  for (auto* list : {&waiting_, &running_}) {
    for (auto& seq : *list)
      if (seq->finished) ended.push_back(std::move(seq));
    std::erase(*list, nullptr);
  }
  int64_t new_tokens = 0, reused = 0;
  for (auto& seq : ended) {
    reused += seq->result.n_reused;
    seq->cache.reset();
    seq->shared = {};
    new_tokens += static_cast<int64_t>(seq->result.tokens.size());
  }
  {
    std::lock_guard lock(mutex_);
    stats_.new_tokens += new_tokens;
    stats_.reused_tokens += reused;
  }
  for (auto& seq : ended) {
    try {
      if (seq->request.on_finish) seq->request.on_finish(std::move(seq->result));
    } catch (const std::exception&) {
      // The request is over either way; its listener's trouble is not the other sequences'.
    }
  }
}

void Engine::run_until_idle() {
  while (step()) {
  }
}

Result Engine::run(Request request) {
  std::optional<Result> result;
  auto listener = std::move(request.on_finish);
  request.on_finish = [&](Result r) {
    if (listener) listener(r);
    result = std::move(r);
  };
  submit(std::move(request));
  while (!result) step();
  return std::move(*result);
}

void Engine::cancel_all() {
  take_inbox();
  for (auto* list : {&waiting_, &running_})
    for (auto& seq : *list) finish(*seq, FinishReason::cancelled);
  drop_finished();
}

void Engine::start() {
  if (thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = false;
  }
  thread_ = std::thread([this] { loop(); });
}

void Engine::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void Engine::loop() {
  int64_t steps_before = -1;
  for (;;) {
    const bool more = step();
    std::unique_lock lock(mutex_);
    const bool stuck = more && stats_.steps == std::exchange(steps_before, stats_.steps);
    if (stopping_) return;
    const auto news = [this] { return stopping_ || !inbox_.empty() || !cancels_.empty(); };
    if (!more)
      wake_.wait(lock, news);
    else if (stuck)  // another user of the runner holds the pages
      wake_.wait_for(lock, std::chrono::milliseconds(1), news);
  }
}

EngineStats Engine::stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}

}  // namespace tenon
