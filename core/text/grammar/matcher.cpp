#include "text/grammar/matcher.hpp"

#include "base/error.hpp"
#include "text/grammar/explorer.hpp"

namespace tenon::grammar {

namespace {

constexpr size_t kMaxTable = size_t{1} << 25;  // entries of four bytes

}  // namespace

Compiled::Compiled(Grammar grammar) : explorer_(std::make_unique<Explorer>(std::move(grammar))) {
  n_classes_ = explorer_->byte_classes(class_of_);
  start_ = explorer_->start();
  grow();
}

Compiled::~Compiled() = default;

std::shared_ptr<Compiled> Compiled::compile(Grammar grammar) {
  return std::shared_ptr<Compiled>(new Compiled(std::move(grammar)));
}

void Compiled::grow() {
  while (accepts_.size() < explorer_->n_sets()) {
    if (table_.size() + n_classes_ > kMaxTable)
      fail(ErrorCode::capacity, "[grammar] more than {} states", accepts_.size());
    table_.resize(table_.size() + n_classes_, kUnexplored);
    accepts_.push_back(explorer_->accepts(static_cast<uint32_t>(accepts_.size())));
  }
}

State Compiled::explore(State state, uint8_t byte) {
  const State next = explorer_->step(state, byte);
  grow();
  table_[size_t{state} * n_classes_ + class_of_[byte]] = next;
  return next;
}

int64_t first_rejected(Compiled& grammar, std::string_view text) {
  const std::lock_guard lock(grammar.mutex());
  State state = grammar.start();
  if (state == kNoState) return 0;
  for (size_t i = 0; i < text.size(); ++i) {
    state = grammar.next(state, static_cast<uint8_t>(text[i]));
    if (state == kNoState) return static_cast<int64_t>(i);
  }
  return grammar.accepts(state) ? -1 : static_cast<int64_t>(text.size());
}

}  // namespace tenon::grammar
