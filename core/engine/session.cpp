// Feeds given tokens to one or several sequences. See session.hpp.
#include "engine/session.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "engine/sampler.hpp"

namespace tenon {
namespace {

// Nearly twice the rows of a copy, and one more: it shares neither a length nor page borders with the copies.
int64_t filler_size(int64_t n) { return n + n / 2 + 1; }

SeqCache admit_or_fail(Runner& runner, int64_t planned_len) {
  auto seq = runner.admit(planned_len);
  if (!seq)
    fail(ErrorCode::capacity,
         "[session] a sequence of {} tokens needs pages and a slot; left are {} of {} pages, {} of {} slots",
         planned_len, runner.pages().total() - runner.pages().used() - runner.pages().reserved(),
         runner.pages().total(), runner.pages().seq_slots().total() - runner.pages().seq_slots().used(),
         runner.pages().seq_slots().total());
  return std::move(*seq);
}

}  // namespace

Session::Session(Runner& runner, const SessionOptions& options) : runner_(runner) {
  const int64_t n_seqs = options.copies + (options.filler ? 1 : 0);
  if (options.copies < 1 || n_seqs > runner.limits().max_seqs)
    fail(ErrorCode::usage, "[session] {} sequences, the limit is {}", n_seqs, runner.limits().max_seqs);
  if (options.planned_len < 1) fail(ErrorCode::usage, "[session] no tokens");
  if (options.filler) filler_ = admit_or_fail(runner, std::min(2 * options.planned_len + 1, runner.limits().n_ctx));
  for (int i = 0; i < options.copies; ++i) copies_.push_back(admit_or_fail(runner, options.planned_len));
}

std::vector<Snapshot> Session::snapshot() {
  std::vector<Snapshot> all;
  for (const SeqCache& seq : copies_) {
    auto s = runner_.snapshot(seq);
    if (!s) fail(ErrorCode::capacity, "[session] {} snapshots, slots are left for {}", copies_.size(), all.size());
    all.push_back(std::move(*s));
  }
  return all;
}

void Session::restore(const std::vector<Snapshot>& snapshot) {
  if (snapshot.size() != copies_.size())
    fail(ErrorCode::usage, "[session] snapshots of {} sequences for {}", snapshot.size(), copies_.size());
  for (size_t i = 0; i < copies_.size(); ++i) runner_.restore(copies_[i], snapshot[i]);
}

int64_t Session::piece_size(Rows rows) const {
  const auto copies = static_cast<int64_t>(copies_.size());
  const auto& limits = runner_.limits();
  int64_t n = limits.max_tokens / copies;
  if (filler_)
    while (n > 1 && n * copies + filler_size(n) > limits.max_tokens) --n;
  return std::max<int64_t>(1, rows == Rows::all ? std::min(n, limits.max_rows) : n);
}

void Session::append(std::span<const int32_t> tokens, Rows rows, std::vector<float>& out) {
  for (int32_t id : tokens)
    if (id < 0 || id >= runner_.limits().n_vocab)
      fail(ErrorCode::usage, "[session] token id {} is outside the vocabulary of {}", id, runner_.limits().n_vocab);
  if (length() + static_cast<int64_t>(tokens.size()) > copies_.front().planned_len())
    fail(ErrorCode::usage, "[session] {} more tokens after {}, planned for {}", tokens.size(), length(),
         copies_.front().planned_len());

  const auto piece = runner_.limits().whole ? tokens.size() : static_cast<size_t>(piece_size(rows));
  while (!tokens.empty()) {
    const auto part = tokens.first(std::min(piece, tokens.size()));
    tokens = tokens.subspan(part.size());
    run_piece(part, rows == Rows::last && !tokens.empty() ? Rows::none : rows, out);
  }
}

void Session::run_piece(std::span<const int32_t> tokens, Rows rows, std::vector<float>& out) {
  Step step(runner_);
  const auto n = static_cast<int64_t>(tokens.size());
  std::vector<int32_t> other;
  if (filler_) {
    const int64_t room = step.tokens_left() - n * static_cast<int64_t>(copies_.size());
    other = filler_tokens(std::min({filler_size(n), room, filler_->planned_len() - filler_->length()}));
    if (!other.empty()) step.add(*filler_, other, Rows::none);
  }
  int64_t first = 0;
  for (size_t i = 0; i < copies_.size(); ++i) {
    const int64_t row = step.add(copies_[i], tokens, i == 0 ? rows : Rows::none);
    if (i == 0) first = row;
  }
  step.run();
  const int64_t wanted = rows == Rows::all ? n : rows == Rows::last ? 1 : 0;
  for (int64_t i = 0; i < wanted; ++i) {
    const auto row = step.logits(first + i);
    out.insert(out.end(), row.begin(), row.end());
  }
}

std::vector<int32_t> Session::filler_tokens(int64_t n) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < n; ++i)
    tokens.push_back(
        static_cast<int32_t>(uniform_at(0, filler_step_++) * static_cast<double>(runner_.limits().n_vocab)));
  return tokens;
}

}  // namespace tenon
