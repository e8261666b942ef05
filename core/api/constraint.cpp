#include "api/constraint.hpp"

#include <chrono>

#include "base/error.hpp"
#include "engine/sampler.hpp"

namespace tenon::api {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start, double unit) {
  return std::chrono::duration<double>(Clock::now() - start).count() * unit;
}

std::vector<int32_t> allowed_ids(const grammar::Mask& mask) {
  std::vector<int32_t> out;
  for (size_t word = 0; word < mask.size(); ++word)
    for (uint64_t bits = mask[word]; bits != 0; bits &= bits - 1)
      out.push_back(static_cast<int32_t>(word * 64) + std::countr_zero(bits));
  return out;
}

/// A token that closes what is open or is short, -1 for none.
int32_t closing(const grammar::TokenMasks& masks, const std::vector<int32_t>& allowed) {
  static constexpr std::string_view kClosing = "\"}]0nt:,";
  int32_t best = -1;
  size_t rank = kClosing.size();
  for (int32_t id : allowed) {
    const std::string_view piece = masks.vocabulary().piece(id);
    const size_t at = piece.size() == 1 ? kClosing.find(piece[0]) : std::string_view::npos;
    if (at < rank) best = id, rank = at;
  }
  return best;
}

}  // namespace

int64_t first_rejected(grammar::Grammar grammar, std::string_view text) {
  return grammar::first_rejected(*grammar::Compiled::compile(std::move(grammar)), text);
}

Sample random_sample(grammar::TokenMasks& masks, const SampleOptions& options) {
  Sample out;
  grammar::State state = masks.start();
  for (int64_t step = 0; step < options.max_tokens; ++step) {
    const std::vector<int32_t> allowed = allowed_ids(*masks.mask(state));
    const size_t choices = allowed.size() + masks.accepts(state);
    const double u = uniform_at(options.seed, static_cast<uint64_t>(step));
    const auto drawn = std::min(static_cast<size_t>(u * static_cast<double>(choices)), choices - 1);
    const bool late = step >= options.tokens;
    if (drawn == allowed.size() || (late && masks.accepts(state))) {
      out.complete = true;
      break;
    }
    const int32_t end = late ? closing(masks, allowed) : -1;
    out.ids.push_back(end >= 0 ? end : allowed[drawn]);
    out.text += masks.vocabulary().piece(out.ids.back());
    state = masks.after(state, out.ids.back());
  }
  out.complete = out.complete || masks.accepts(state);
  return out;
}

MaskTimes time_masks(const grammar::Grammar& grammar, const std::shared_ptr<const grammar::VocabularyTrie>& vocabulary,
                     const std::vector<int32_t>& ids) {
  MaskTimes out;
  const auto start = Clock::now();
  grammar::TokenMasks masks(grammar::Compiled::compile(grammar), vocabulary);
  out.compile_ms = since(start, 1e3);
  for (std::vector<double>* times : {&out.cold_us, &out.warm_us}) {
    grammar::State state = masks.start();
    for (int32_t id : ids) {
      const auto before = Clock::now();
      masks.mask(state);
      times->push_back(since(before, 1e6));
      state = masks.after(state, id);
      if (state == grammar::kNoState) fail(ErrorCode::usage, "[grammar] token {} of the text cannot come", id);
    }
    if (!masks.accepts(state)) fail(ErrorCode::usage, "[grammar] the text lacks its end");
  }
  return out;
}

}  // namespace tenon::api
