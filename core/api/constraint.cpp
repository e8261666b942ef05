#include "api/constraint.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <unordered_set>
#include <utility>

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

/// The tokens of a single byte, those that open, pad or escape in JSON last.
std::vector<int32_t> byte_tokens(const grammar::VocabularyTrie& vocabulary, size_t& n_plain) {
  std::vector<int32_t> plain, opening;
  std::array<bool, 256> seen{};
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const std::string_view piece = vocabulary.piece(id);
    if (piece.size() != 1 || std::exchange(seen[static_cast<uint8_t>(piece[0])], true)) continue;
    (std::string_view("\\{[ \t\r\n").find(piece[0]) == std::string_view::npos ? plain : opening).push_back(id);
  }
  n_plain = plain.size();
  plain.insert(plain.end(), opening.begin(), opening.end());
  return plain;
}

/// The fewest bytes that end the text, as tokens; nothing when they are not found within limits. `plainly`: nothing is
/// opened where something else may come, lest nested values are tried without end.
std::vector<int32_t> shortest_end(grammar::TokenMasks& masks, grammar::State start, bool plainly) {
  constexpr size_t kMaxStates = 20000;
  struct Step {
    grammar::State state;
    size_t from;
    int32_t token;
  };
  size_t n_plain = 0;
  const std::vector<int32_t> tokens = byte_tokens(masks.vocabulary(), n_plain);
  std::vector<Step> steps{{start, 0, -1}};
  std::unordered_set<grammar::State> seen{start};
  for (size_t at = 0; at < steps.size() && steps.size() < kMaxStates; ++at) {
    if (masks.accepts(steps[at].state)) {
      std::vector<int32_t> out;
      for (size_t i = at; i != 0; i = steps[i].from) out.push_back(steps[i].token);
      std::reverse(out.begin(), out.end());
      return out;
    }
    bool any = false;
    for (size_t i = 0; i < tokens.size() && (i < n_plain || !any || !plainly); ++i) {
      const grammar::State next = masks.after(steps[at].state, tokens[i]);
      any = any || next != grammar::kNoState;
      if (next != grammar::kNoState && seen.insert(next).second) steps.push_back({next, at, tokens[i]});
    }
  }
  return {};
}

}  // namespace

int64_t first_rejected(grammar::Grammar grammar, std::string_view text) {
  return grammar::first_rejected(*grammar::Compiled::compile(std::move(grammar)), text);
}

Sample random_sample(grammar::TokenMasks& masks, const SampleOptions& options) {
  constexpr int64_t kPatience = 256;  // tokens among which ends are searched; then what closes is preferred
  Sample out;
  grammar::State state = masks.start();
  const auto take = [&](int32_t id) {
    out.ids.push_back(id);
    out.text += masks.vocabulary().piece(id);
    state = masks.after(state, id);
  };
  for (int64_t step = 0; step < options.max_tokens; ++step) {
    const int64_t late = step - options.tokens;
    if (late >= 0 && late <= kPatience && late % 64 == 0)
      for (int32_t id : shortest_end(masks, state, late < kPatience)) take(id);
    const bool may_end = masks.accepts(state);
    if (may_end && late >= 0) break;
    const std::vector<int32_t> allowed = allowed_ids(*masks.mask(state));
    const size_t choices = allowed.size() + may_end;
    const double u = uniform_at(options.seed, static_cast<uint64_t>(step));
    const auto drawn = std::min(static_cast<size_t>(u * static_cast<double>(choices)), choices - 1);
    if (drawn == allowed.size()) break;
    const int32_t end = late >= kPatience ? closing(masks, allowed) : -1;
    take(end >= 0 ? end : allowed[drawn]);
  }
  out.complete = masks.accepts(state);
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
