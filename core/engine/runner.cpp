// Gathers ragged batches and runs them. See runner.hpp.
#include "engine/runner.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"

namespace tenon {

Runner::Runner(Executable& executable, StatePool& states, RunnerLimits limits)
    : executable_(executable), states_(states), limits_(limits), pages_(states, limits.max_seqs, limits.max_tokens) {
  limits_.n_ctx = pages_.longest(limits_.whole ? std::min(limits_.n_ctx, limits_.max_tokens) : limits_.n_ctx);
  limits_.max_seqs = std::min({limits_.max_seqs, limits_.max_tokens, limits_.max_rows});
  if (limits_.n_ctx < 1 || limits_.max_seqs < 1)
    fail(ErrorCode::capacity, "[runner] context of {} tokens, {} sequences", limits_.n_ctx, limits_.max_seqs);
}

std::optional<SeqCache> Runner::admit(int64_t planned_len) { return admit_after(planned_len, {}); }

std::optional<SeqCache> Runner::admit(int64_t planned_len, std::span<const int32_t> prompt, PrefixCache::Hold& hold) {
  if (!prefixes_ || prompt.empty()) return admit(planned_len);
  hold = prefixes_->find(prefix_salt_(planned_len), prompt.first(prompt.size() - 1));
  auto seq = admit_after(planned_len, hold.pages());
  if (!seq) hold = {};
  return seq;
}

std::optional<SeqCache> Runner::admit_after(int64_t planned_len, std::span<const int32_t> shared) {
  if (planned_len > limits_.n_ctx)
    fail(ErrorCode::capacity, "[context] {} tokens exceed the context of {}", planned_len, limits_.n_ctx);
  auto seq = SeqCache::admit(pages_, planned_len, shared);
  if (!seq && prefixes_ && prefixes_->make_room(pages_for(planned_len) - static_cast<int64_t>(shared.size())))
    seq = SeqCache::admit(pages_, planned_len, shared);
  return seq;
}

void Runner::reuse_prefixes(int64_t most_idle, PrefixSalt salt) {
  prefixes_ = std::make_unique<PrefixCache>(pages_.pages(0), most_idle);
  prefix_salt_ = std::move(salt);
}

std::optional<Snapshot> Runner::snapshot(const SeqCache& seq) {
  Snapshot s(pages_, seq);
  if (!pages_.has_slots()) return s;
  if (!pages_.snapshot_slots().reserve(1)) return std::nullopt;
  s.slot_ = pages_.snapshot_slots().take();
  std::lock_guard lock(mutex_);
  states_.copy_slot(seq.slot(), pages_.snapshot_slot(s.slot_));
  return s;
}

void Runner::restore(SeqCache& seq, const Snapshot& s) {
  const bool own = s.seq_ == seq.id();
  if (s.pool_ != &pages_ || (!own && (pages_.n_groups() > 0 || s.length_ > seq.planned_len())))
    fail(ErrorCode::usage, "[sequence] a snapshot of {} tokens is another sequence's", s.length_);
  seq.rewind(own ? s.length_ : 0);
  if (!own) seq.advance(s.length_);
  if (s.slot_ < 0) return;
  std::lock_guard lock(mutex_);
  states_.copy_slot(pages_.snapshot_slot(s.slot_), seq.slot());
}

Snapshot& Snapshot::operator=(Snapshot&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(seq_, other.seq_);
  std::swap(length_, other.length_);
  std::swap(slot_, other.slot_);
  return *this;
}

Snapshot::~Snapshot() {
  if (pool_ && slot_ >= 0) pool_->snapshot_slots().give_back({&slot_, 1}, 0);
}

Step::Step(Runner& runner) : runner_(runner), lock_(runner.mutex_) {
  runner_.tokens_.clear();
  runner_.positions_.clear();
  runner_.rows_.clear();
  runner_.seqs_.clear();
}

int64_t Step::tokens_left() const { return runner_.limits_.max_tokens - static_cast<int64_t>(runner_.tokens_.size()); }
int64_t Step::rows_left() const { return runner_.limits_.max_rows - static_cast<int64_t>(runner_.rows_.size()); }
int64_t Step::seqs_left() const { return runner_.limits_.max_seqs - static_cast<int64_t>(runner_.seqs_.size()); }

int64_t Step::add(SeqCache& seq, std::span<const int32_t> tokens, Rows rows) {
  const auto n = static_cast<int64_t>(tokens.size());
  const int64_t wanted = rows == Rows::all ? n : rows == Rows::last ? 1 : 0;
  if (n == 0 || n > tokens_left() || wanted > rows_left() || seqs_left() < 1)
    fail(ErrorCode::internal, "[step] a piece of {} tokens and {} rows, {} and {} left", n, wanted, tokens_left(),
         rows_left());
  if (runner_.limits_.whole && seq.length() > 0)
    fail(ErrorCode::usage, "[step] {} tokens after {}: an encoder takes a text in one step", n, seq.length());
  seq.cover(seq.length() + n);

  Runner& r = runner_;
  const auto first = static_cast<int32_t>(r.tokens_.size());
  const auto first_logits = static_cast<int64_t>(r.rows_.size());
  r.tokens_.insert(r.tokens_.end(), tokens.begin(), tokens.end());
  for (int64_t i = 0; i < n; ++i) r.positions_.push_back(static_cast<int32_t>(seq.length() + i));
  for (int64_t i = n - wanted; i < n; ++i) r.rows_.push_back(static_cast<int32_t>(first + i));
  r.seqs_.push_back({.first_row = first,
                     .n_rows = static_cast<int32_t>(n),
                     .pos = static_cast<int32_t>(seq.length()),
                     .planned_len = seq.planned_len(),
                     .pages = seq.tables(),
                     .slot = seq.slot()});
  grown_.emplace_back(&seq, n);
  return first_logits;
}

void Step::run() {
  Runner& r = runner_;
  if (r.tokens_.empty()) return;
  r.executable_.run({.tokens = r.tokens_, .positions = r.positions_, .seqs = r.seqs_, .rows = r.rows_}, r.states_);
  for (auto [seq, n] : grown_) seq->advance(n);
  grown_.clear();
}

std::span<const float> Step::logits(int64_t index) const {
  const auto all = runner_.executable_.output("logits");
  const auto n = static_cast<size_t>(runner_.limits_.n_vocab);
  const auto at = static_cast<size_t>(index) * n;
  if (at + n > all.size())
    fail(ErrorCode::internal, "[step] row {} of logits, {} values of vocabulary {}", index, all.size(), n);
  return all.subspan(at, n);
}

}  // namespace tenon
