// Sessions over a fake model: pieces, copies and fillers do not change a sequence's logits.
#include "engine/session.hpp"

#include "base/error.hpp"
#include "fake_model.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {

std::vector<int32_t> prompt(int64_t n) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < n; ++i) tokens.push_back(static_cast<int32_t>(i * 7 % 59));
  return tokens;
}

std::vector<float> logits_of(FakeModel& model, std::span<const int32_t> tokens, std::vector<size_t> pieces,
                             SessionOptions options = {}) {
  options.planned_len = static_cast<int64_t>(tokens.size());
  Session session(model.runner, options);
  std::vector<float> out;
  for (size_t n : pieces) {
    session.append(tokens.first(n), Rows::all, out);
    tokens = tokens.subspan(n);
  }
  if (!tokens.empty()) session.append(tokens, Rows::all, out);
  return out;
}

}  // namespace

TEST_CASE("pieces, copies and fillers leave the logits alone") {
  FakeModel model(fake_limits(100));
  const auto tokens = prompt(90);
  const auto whole = logits_of(model, tokens, {});
  CHECK(whole.size() == 90 * kVocab);
  CHECK(model.executable.steps == 1);
  CHECK(logits_of(model, tokens, {30, 15, 45}) == whole);
  CHECK(logits_of(model, tokens, std::vector<size_t>(90, 1)) == whole);
  CHECK(logits_of(model, tokens, {5}, {.copies = 3, .filler = true}) == whole);
  CHECK(logits_of(model, tokens, std::vector<size_t>(90, 1), {.copies = 4, .filler = true}) == whole);
  CHECK(model.pages_are_back());
}

TEST_CASE("a piece larger than a step is split") {
  const auto tokens = prompt(90);
  FakeModel large(fake_limits(100)), small(fake_limits(7, 200, 3));
  CHECK(logits_of(small, tokens, {}) == logits_of(large, tokens, {}));
  CHECK(logits_of(small, tokens, {}, {.copies = 2, .filler = true}) == logits_of(large, tokens, {}));
}

TEST_CASE("only the rows that are wanted") {
  FakeModel model(fake_limits(16));
  const auto tokens = prompt(40);
  const auto whole = logits_of(model, tokens, {});
  Session session(model.runner, {.planned_len = 40});
  std::vector<float> out;
  session.append(std::span(tokens).first(10), Rows::none, out);
  CHECK(out.empty());
  session.append(std::span(tokens).subspan(10), Rows::last, out);
  CHECK(out == std::vector<float>(whole.end() - kVocab, whole.end()));
}

TEST_CASE("limits are errors") {
  FakeModel model(fake_limits(16, 64, 3), 4);
  std::vector<float> out;
  CHECK_THROWS_AS(Session(model.runner, {.planned_len = 65}), Error);
  CHECK_THROWS_AS(Session(model.runner, {.planned_len = 0}), Error);
  CHECK_THROWS_AS(Session(model.runner, {.planned_len = 10, .copies = 4}), Error);
  CHECK_THROWS_AS(Session(model.runner, {.planned_len = 64, .copies = 3}), Error);  // 6 pages of 4
  Session session(model.runner, {.planned_len = 4});
  CHECK_THROWS_AS(session.append(std::vector<int32_t>{1, 99}, Rows::all, out), Error);
  CHECK_THROWS_AS(session.append(prompt(5), Rows::all, out), Error);
  CHECK_NOTHROW(session.append(prompt(4), Rows::all, out));
}
